//! Sends a request again and again with ureq and its defaults.
//! usage: ureq_loop URL CA_FILE REQUEST_FILE COUNT; prints wall time and CPU time per request, in microseconds.

use std::error::Error;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The number of warm-up requests.
const FIRST: u32 = 300;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, ca_file, request, count] = &arguments[..] else {
        return Err("usage: ureq_loop URL CA_FILE REQUEST_FILE COUNT".into());
    };
    let count: u32 = count.parse()?;
    let request = std::fs::read_to_string(request)?;
    let (head, body) = request.split_once("\r\n\r\n").ok_or("the request has no end of its head")?;
    let mut lines = head.lines();
    let target = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("the request has no target")?;
    let url = format!("{url}{target}");
    // ureq sets these fields itself.
    let fields = lines.filter_map(|line| line.split_once(": ")).filter(|(name, _)| {
        !["host", "content-length", "connection"].contains(&name.to_ascii_lowercase().as_str())
    });
    let fields: Vec<(&str, &str)> = fields.collect();

    let ca = Certificate::from_pem(&std::fs::read(ca_file)?)?;
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[ca])).build();
    let agent: Agent = Agent::config_builder().tls_config(tls).build().into();
    let deliver = || -> Result<(), Box<dyn Error>> {
        let mut request = agent.post(&url);
        for (name, value) in &fields {
            request = request.header(*name, *value);
        }
        let mut answer = request.send(body)?;
        answer.body_mut().read_to_vec()?;
        if answer.status() == 202 { Ok(()) } else { Err("not a 202".into()) }
    };
    for _ in 0..FIRST {
        deliver()?;
    }

    let (wall, cpu) = (Instant::now(), cpu_time());
    for _ in 0..count {
        deliver()?;
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(count);
    println!("{:.3} {:.3}", each(wall.elapsed()), each(cpu_time() - cpu));
    Ok(())
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
