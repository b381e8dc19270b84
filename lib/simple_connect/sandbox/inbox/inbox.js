// The page of the inbox. What comes from outside becomes a text node; nothing here parses HTML.

// ---------------------------------------------------------------------------------------------------- building

const $ = (id) => document.getElementById(id);

// An element with attributes and children. A child is text, a node, or nothing.
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(2)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

const FOCUSABLE = "a[href], button, input, select, textarea, [tabindex]";

// Replaces what is in an element. If that had the focus, what comes in the same place gets it.
function fill(element, ...children) {
  const at = element.contains(document.activeElement) ? [...element.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement) : -1;
  element.textContent = "";
  append(element, children);
  if (at < 0) return;

  const now = [...element.querySelectorAll(FOCUSABLE)];
  (now[at] ?? now.at(-1) ?? element).focus({ preventScroll: true });
}

function icon(name, label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  svg.setAttribute("class", `icon icon-${name}`);
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else svg.setAttribute("aria-hidden", "true");
  return svg;
}

// Characters that are invisible, or that reorder what stands around them.
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

// Text with such characters spelled out, for the tabs that show what is really there.
function plain(text) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(INVISIBLE)) {
    const code = match[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    parts.push(text.slice(from, match.index), h("span", { class: "invisible", title: "an invisible character" }, `U+${code}`));
    from = match.index + 1;
  }
  parts.push(text.slice(from));
  return parts;
}

// Somebody's text inside of ours: it cannot reorder what stands around it.
const bdi = (text) => h("bdi", null, text ?? "");

// -------------------------------------------------------------------------------------------------- formatting

const MARKS = { "*": "strong", "_": "em", "~": "s" };
const WORD = /[\p{L}\p{N}]/u;
const LINK = /https?:\/\/[^\s<>"]+/y;
const VARIABLE = /\{\{\s*([^{}\n]{1,64}?)\s*\}\}/y;
const ITEM = /^(?:([-*])|(\d{1,3})\.|(>)) +(?=\S)/;
const EMOJI = /^(?:(?:\p{RI}\p{RI}|\p{Extended_Pictographic}[\uFE0F\p{EMod}]*(?:\u200D\p{Extended_Pictographic}[\uFE0F\p{EMod}]*)*)\s*){1,3}$/u;
const FORMATTED = 4096;
const DEPTH = 6;

// What a phone makes of a message's text: a fragment of elements.
export function format(text, unfilled = []) {
  const names = new Set(unfilled.map((name) => String(name).replace(/^\{\{\s*|\s*\}\}$/g, "")));
  const fragment = document.createDocumentFragment();
  const rest = text.slice(FORMATTED);
  let run = null;
  for (const line of lines(text.slice(0, FORMATTED))) {
    const item = ITEM.exec(line);
    const kind = item ? (item[3] ? "blockquote" : item[2] ? "ol" : "ul") : "p";
    const content = inline(item ? line.slice(item[0].length) : line, names, 0);
    if (run?.localName !== kind) {
      run = h(kind, { start: kind === "ol" && item[2] !== "1" ? item[2] : null });
      fragment.append(run);
    } else if (kind === "p" || kind === "blockquote") run.append("\n");
    append(run, [kind === "ul" || kind === "ol" ? h("li", null, content) : content]);
  }
  if (rest) fragment.append(h("p", null, rest));
  return fragment;
}

// The lines, but those inside of ``` stay together.
function lines(text) {
  const found = [""];
  for (const part of text.split(/(```[^]+?```)/)) {
    if (part.startsWith("```") && part.length > 6) found[found.length - 1] += part;
    else {
      const [first, ...more] = part.split("\n");
      found[found.length - 1] += first;
      found.push(...more);
    }
  }
  return found;
}

function inline(text, names, depth) {
  const nodes = [];
  let from = 0;
  let at = 0;
  const put = (node, end) => {
    if (at > from) nodes.push(text.slice(from, at));
    nodes.push(node);
    at = from = end;
  };
  while (at < text.length) {
    const char = text[at];
    if (char === "`") {
      const [code, end] = mono(text, at);
      if (code !== null) put(h("code", { class: code.includes("\n") ? "block" : null }, variables(code, names)), end);
      else at = end;
    } else if (MARKS[char] && depth < DEPTH && opens(text, at)) {
      const close = closing(text, at);
      if (close) put(h(MARKS[char], null, inline(text.slice(at + 1, close), names, depth + 1)), close + 1);
      else at += 1;
    } else if (char === "{" && names.size) {
      const name = match(VARIABLE, text, at);
      if (name && names.has(name[1])) put(variable(name[0]), at + name[0].length);
      else at += 1;
    } else if (char === "h" && !wordBefore(text, at)) {
      const link = match(LINK, text, at)?.[0].replace(/[.,!?:;)\]}*_~'`]+$/, "");
      if (link && URL.canParse?.(link) !== false) {
        put(h("a", { href: link, target: "_blank", rel: "noopener noreferrer nofollow" }, link), at + link.length);
      } else at += 1;
    } else at += 1;
  }
  if (from < text.length) nodes.push(text.slice(from));
  return nodes;
}

function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

const variable = (text) => h("mark", { title: "This variable has no value" }, text);

// The text inside of backticks, where nothing else has a meaning.
function variables(text, names) {
  const parts = text.split(/(\{\{\s*[^{}\n]{1,64}?\s*\}\})/);
  return parts.map((part, at) => (at % 2 && names.has(part.slice(2, -2).trim()) ? variable(part) : part));
}

// What stands between the backticks from `at`, and where it ends; or null, and where the backticks end.
function mono(text, at) {
  const ticks = text.startsWith("```", at) ? "```" : "`";
  const end = text.indexOf(ticks, at + ticks.length);
  const code = end < 0 ? "" : text.slice(at + ticks.length, end);
  if (code.trim() && (ticks === "```" || !code.includes("\n"))) return [code.replace(/^\n|\n$/g, ""), end + ticks.length];
  return [null, at + ticks.length];
}

const wordBefore = (text, at) => at > 0 && WORD.test(String.fromCodePoint(text.codePointAt(at - 1)));
const blank = (char) => char === undefined || /\s/.test(char);

function opens(text, at) {
  return !wordBefore(text, at) && !blank(text[at + 1]) && text[at + 1] !== text[at];
}

// Where the mark at `at` is closed on its line, or 0.
function closing(text, at) {
  for (let end = at + 2; end < text.length && text[end] !== "\n"; end += 1) {
    if (text[end] === "`") {
      const [code, after] = mono(text, end);
      if (code !== null) end = after - 1;
    } else if (text[end] === text[at] && !blank(text[end - 1])) {
      const next = text.codePointAt(end + 1);
      if (next === undefined || (!WORD.test(String.fromCodePoint(next)) && text[end + 1] !== text[at])) return end;
    }
  }
  return 0;
}

// ------------------------------------------------------------------------------------------------------- words

const STATES = { accepted: "Accepted", duplicate: "Duplicate", skipped: "Skipped", rejected: "Rejected", failed: "Failed" };
const TICKS = { sent: ["check", "Sent"], delivered: ["checks", "Delivered"], read: ["checks", "Read"], failed: ["alert", "Failed"] };
const FAULTS = { timeout: "Timeout", reset: "Reset", close: "Close", garbage: "Garbage", duplicate: "Duplicate", skipped: "Skipped" };
const REASONS = {
  200: "OK", 202: "Accepted", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
  413: "Content Too Large", 422: "Unprocessable Content", 429: "Too Many Requests", 500: "Internal Server Error",
  502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"
};

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const thousands = new Intl.NumberFormat("en-GB");

const today = (date) => date.toDateString() === new Date().toDateString();
const time = (at) => h("time", { datetime: at, title: at }, today(new Date(at)) ? clock.format(new Date(at)) : `${day.format(new Date(at))}, ${minutes.format(new Date(at))}`);
const milliseconds = (ms) => (ms >= 1000 ? `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s` : `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`);
const plural = (count, one, many = `${one}s`) => `${thousands.format(count)} ${count === 1 ? one : many}`;
const status = (attempt) => attempt.status
  ? `${attempt.status} ${REASONS[attempt.status] ?? ""}`.trim()
  : { timeout: "No answer", garbage: "No HTTP" }[attempt.fault] ?? "Connection cut";
// A recipient may be refused in an answer that accepts others.
const succeeded = (attempt) => attempt.status >= 200 && attempt.status < 300 && !attempt.error;
const faultName = (fault) => FAULTS[fault.kind] ?? String(fault.kind);

function tick(name) {
  if (!TICKS[name]) return null;
  const [symbol, label] = TICKS[name];
  const svg = icon(symbol, label);
  svg.classList.add("tick", `tick-${name}`);
  return svg;
}

const subject = (message) => message.event_key ?? message.template_name ?? (message.kind === "incoming" ? "incoming message" : message.kind);
const person = (message) => message.recipient?.name || message.recipient?.mobile_no || "No recipient";

// --------------------------------------------------------------------------------------------------- the server

const JSON_TYPE = { "content-type": "application/json" };

async function ask(path, options = {}) {
  const response = await fetch(path, { cache: "no-cache", credentials: "same-origin", ...options });
  const text = await response.text();
  let json = null;
  try { json = text ? JSON.parse(text) : {}; } catch { /* reported below */ }
  if (!response.ok || json === null) throw new Error(json?.error ?? `the sandbox answered ${response.status}`);
  return json;
}

const post = (path, json = {}) => ask(path, { method: "POST", headers: JSON_TYPE, body: JSON.stringify(json) });
const messagePath = (id, rest = "") => `inbox/messages/${encodeURIComponent(id)}${rest}`;

// Does something that was clicked; an error is shown.
async function doing(work) {
  try {
    return await work();
  } catch (error) {
    toast(error.message, "bad");
    return null;
  }
}

function toast(text, kind = "good") {
  const box = h("div", { class: `toast ${kind}` }, icon(kind === "bad" ? "alert" : "check"), h("span", null, text));
  $("toasts").append(box);
  setTimeout(() => box.remove(), kind === "bad" ? 8000 : 3500);
}

// ------------------------------------------------------------------------------------------------------ its state

const messages = new Map(); // by id: { message, row }
let cursor = null;
let inbox = { faults: [] }; // what inbox/status tells
let selected = null; // an id
let following = true; // the newest message is shown as it comes
let found = null; // ids that the server found for the search; null without a search
let shown = null; // the detail that is on the page, as JSON
let detail = null;
let attemptShown = null; // whose signature is shown; null for the last one

const narrow = matchMedia("(max-width: 52rem)");

// -------------------------------------------------------------------------------------------------------- the list

function buildRow({ id }) {
  const row = h("li", null, h("a", { href: `#/${encodeURIComponent(id)}`, tabindex: "-1" }));
  row.dataset.id = id;
  return row;
}

// Its link stays, which may have the focus.
function fillRow(row, message) {
  const { state, attempts_count: attempts } = message;
  row.className = `row state-${STATES[state] ? state : "other"}`;
  fill(row.firstElementChild,
    h("span", { class: "row-top" }, h("span", { class: "row-name" }, bdi(person(message))), time(message.at)),
    h("span", { class: "row-preview" }, message.kind === "incoming" ? icon("reply", "Incoming") : tick(message.tick), bdi(format(message.preview_text ?? "").textContent)),
    h("span", { class: "row-tags" },
      h("span", { class: "tag" }, bdi(subject(message))),
      state && state !== "accepted" ? h("span", { class: `state ${state}` }, STATES[state] ?? state) : null,
      attempts > 1 ? h("span", { class: "tries" }, plural(attempts, "attempt")) : null));
}

// Newest first. The order in which they came is the order of their first rows.
function place(message) {
  const known = messages.get(message.id);
  const row = known?.row ?? buildRow(message);
  fillRow(row, message);
  if (!known) {
    // Messages come newest first, or one by one; so the place is nearly always at one of the ends.
    const list = $("list");
    const at = (element) => messages.get(element.dataset.id).message.at;
    let before = list.firstElementChild;
    if (before && message.at < at(before)) {
      before = list.lastElementChild;
      if (message.at <= at(before)) before = null;
      else while (before.previousElementSibling && at(before.previousElementSibling) < message.at) before = before.previousElementSibling;
    }
    list.insertBefore(row, before);
  }
  messages.set(message.id, { message, row });
  row.hidden = !matches(message);
}

function matches(message) {
  return (!found || found.has(message.id))
    && (!$("by-event").value || subject(message) === $("by-event").value)
    && (!$("by-state").value || message.state === $("by-state").value)
    && (!$("by-recipient").value || message.recipient?.mobile_no === $("by-recipient").value);
}

function filter() {
  for (const { message, row } of messages.values()) row.hidden = !matches(message);
  countRows();
  mark();
}

function countRows() {
  document.body.classList.toggle("is-empty", !messages.size);
  const filtered = found || $("by-event").value || $("by-state").value || $("by-recipient").value;
  $("count").textContent = !messages.size ? "No messages yet"
    : filtered ? `${thousands.format(visibleRows().length)} of ${plural(messages.size, "message")}`
    : plural(messages.size, "message") + (messages.size >= inbox.bound ? ", older ones are gone" : "");
}

const visibleRows = () => [...$("list").children].filter((row) => !row.hidden);

// The choices of a filter: what the messages have.
function choices(select, pairs) {
  const first = select.options[0];
  const wanted = [...pairs].sort(([, a], [, b]) => a.localeCompare(b));
  const now = JSON.stringify(wanted);
  if (select.dataset.choices === now) return;

  const value = select.value;
  select.dataset.choices = now;
  fill(select, first, wanted.map(([key, label]) => h("option", { value: key }, label)));
  select.value = pairs.has(value) ? value : "";
}

function updateChoices() {
  const events = new Map();
  const recipients = new Map();
  for (const { message } of messages.values()) {
    events.set(subject(message), subject(message));
    const to = message.recipient;
    if (to?.mobile_no) recipients.set(to.mobile_no, to.name ? `${to.name}, ${to.mobile_no}` : to.mobile_no);
  }
  choices($("by-event"), events);
  choices($("by-recipient"), recipients);
}

async function search() {
  const text = $("search").value.trim();
  if (!text) found = null;
  else {
    const answer = await doing(() => ask(`inbox/messages?${new URLSearchParams({ q: text })}`));
    if (!answer || $("search").value.trim() !== text) return;

    found = new Set(answer.messages.map((message) => message.id));
  }
  filter();
}

// Marks the row of the message that is shown. Only that row, or the first, is reached with the Tab key.
function mark() {
  const list = $("list");
  for (const old of list.querySelectorAll("a[aria-current], a[tabindex='0']")) {
    old.removeAttribute("aria-current");
    old.tabIndex = -1;
  }
  const row = messages.get(selected)?.row;
  if (row) row.firstElementChild.setAttribute("aria-current", "true");
  const reachable = row && !row.hidden ? row : visibleRows()[0];
  if (reachable) reachable.firstElementChild.tabIndex = 0;
}

// ----------------------------------------------------------------------------------------------------- the message

function select(id, { follow = false, history = true } = {}) {
  following = follow;
  if (selected !== id) {
    selected = id;
    attemptShown = null;
    shown = null;
  }
  document.body.dataset.view = id && !follow ? "detail" : "list";
  const hash = id && !follow ? `#/${encodeURIComponent(id)}` : "";
  if (history && location.hash !== hash) {
    window.history.pushState(null, "", hash || location.pathname + location.search);
  }
  mark();
  return load();
}

async function load() {
  const id = selected;
  if (!id) return showNothing();

  try {
    const answer = await ask(messagePath(id));
    if (selected === id) show(answer);
  } catch (error) {
    if (selected === id && !messages.has(id)) {
      showNothing("This message is no longer there.");
    } else toast(error.message, "bad");
  }
  return undefined;
}

function showNothing(text) {
  detail = shown = null;
  $("message").hidden = true;
  $("empty").hidden = false;
  fill($("empty"), text || messages.size
    ? [h("p", null, text ?? "Choose a message on the left."), text ? h("button", { type: "button", class: "button", onclick: escape }, "Show the others") : null]
    : [h("div", { class: "empty-mark" }, icon("chat")), h("h2", null, "No messages yet"),
      h("p", null, "Send an event from another terminal. It shows up here by itself."), connection()]);
}

function show(answer) {
  const json = JSON.stringify(answer);
  if (json === shown) return;

  const another = detail?.id !== answer.id;
  shown = json;
  detail = answer;
  $("empty").hidden = true;
  $("message").hidden = false;
  showHead(answer);
  showWhy(answer);
  showPhone(answer);
  showFields(answer);
  showJSON(answer);
  showSignature(answer);
  showAttempts(answer);
  if (another) $("detail").scrollTop = 0;
}

function showHead(message) {
  const { recipient, state } = message;
  fill($("who"), bdi(person(message)), recipient?.name && recipient.mobile_no ? h("span", { class: "number" }, bdi(recipient.mobile_no)) : null);
  const id = message.event_id ?? message.message_id;
  fill($("what"), h("span", { class: "tag" }, bdi(subject(message))),
    id ? h("span", { class: "mono" }, bdi(id)) : null, message.language ? h("span", null, bdi(message.language)) : null, time(message.at));
  fill($("badges"), state ? h("span", { class: `state ${STATES[state] ? state : "other"}` }, STATES[state] ?? state) : null,
    TICKS[message.tick] ? h("span", { class: "ticked" }, tick(message.tick), TICKS[message.tick][1]) : null);
  const receiver = Boolean(inbox.receiver);
  for (const button of document.querySelectorAll("[data-status]")) {
    button.disabled = !receiver || message.kind === "incoming" || !(state === "accepted" || state === "duplicate");
    button.title = receiver ? "Post a signed status callback to your receiver" : NO_RECEIVER;
  }
  for (const button of document.querySelectorAll("[data-copy]")) button.disabled = !message.code?.[button.dataset.copy];
}

const NO_RECEIVER = "The sandbox knows no receiver. Start it with --callback-url URL, or in Ruby with status_callback_url.";

// One sentence or two: how it was answered, and why.
function showWhy(message) {
  const attempts = message.attempts ?? [];
  const last = attempts.at(-1);
  const failed = attempts.filter((attempt) => !succeeded(attempt));
  const sentences = message.kind === "incoming" ? whyIncoming(last, failed) : why(message, attempts, failed);
  const box = $("why");
  box.hidden = !sentences.length;
  const bad = (last && !succeeded(last)) || message.tick === "failed";
  box.className = `why ${bad ? "bad" : failed.length ? "mixed" : "info"}`;
  const refused = failed.at(-1)?.status === 401;
  fill(box, icon(bad ? "alert" : "check"), h("p", null, plain(sentences.join(" ")),
    refused ? [" ", h("button", { type: "button", class: "link", onclick: () => openTab("signature", true) },
      message.kind === "event" ? "See the signature step by step" : "See the headers")] : null));
}

function why(message, attempts, failed) {
  const last = attempts.at(-1);
  const sentences = [];
  if (message.tick === "failed") sentences.push("Your receiver was told that this message failed.");
  const forced = attempts.findLast((attempt) => attempt.fault && succeeded(attempt));
  if (forced) sentences.push(`The answer “${forced.fault}” was planned in this inbox.`);
  else if (message.state === "duplicate") sentences.push("This event was accepted before, so nothing is sent a second time.");
  else if (message.state === "skipped") sentences.push("The service skips this event: nothing is sent.");
  const planned = failed.filter((attempt) => attempt.fault);
  if (planned.length) sentences.push(`${list(planned.map(status))} ${planned.length === 1 ? "was" : "were"} planned in this inbox.`);
  const own = failed.findLast((attempt) => !attempt.fault);
  if (own) sentences.push(`${status(own)}: ${reason(own)}`);
  if (failed.length && succeeded(last)) {
    const wait = waited(attempts, attempts.length - 1);
    sentences.push(`The client tried again${wait ? ` after ${wait}` : ""} and was accepted with attempt ${attempts.length}.`);
  } else if (planned.length && planned.includes(last)) sentences.push("The client has not tried again yet.");
  if (last && succeeded(last) && /previous secret/.test(last.verdict ?? "")) sentences.push(last.verdict);
  return sentences;
}

function whyIncoming(last, failed) {
  if (!last || !failed.includes(last)) return [];
  return [last.status ? `Your receiver answered ${status(last)}.` : `Your receiver did not answer: ${last.fault}`];
}

// Why an attempt was refused that was not planned: for a signature the verdict, else what the answer says.
function reason(attempt) {
  if (attempt.status === 401) return attempt.verdict;
  if (attempt.error) return attempt.error;
  try {
    return JSON.parse(attempt.response_body).error ?? attempt.verdict;
  } catch {
    return attempt.verdict ?? "";
  }
}

function list(words) {
  const counted = new Map();
  for (const word of words) counted.set(word, (counted.get(word) ?? 0) + 1);
  return [...counted].map(([word, times]) => (times > 1 ? `${word} (${times} times)` : word)).join(" and ");
}

function waited(attempts, index) {
  const before = attempts[index - 1];
  if (!before) return null;
  const gap = Date.parse(attempts[index].at) - Date.parse(before.at);
  return gap >= 0 ? milliseconds(gap) : null;
}

// ------------------------------------------------------------------------------------------------------- the phone

function showPhone(message) {
  const { preview } = message;
  const incoming = message.kind === "incoming";
  const parts = !incoming && preview && preview.template !== false;
  const unfilled = preview?.unfilled ?? [];
  const text = incoming || parts ? preview?.body ?? "" : "";
  const at = new Date(message.at);
  const bubble = h("div", { class: `bubble${incoming ? " own" : ""}${EMOJI.test(text) && !preview?.header ? " large" : ""}` });
  if (incoming || parts) {
    if (preview?.header) bubble.append(h("div", { class: "bubble-header", dir: "auto" }, format(preview.header, unfilled)));
    bubble.append(h("div", { class: "bubble-body", dir: "auto" }, format(text, unfilled)));
    if (preview?.footer) bubble.append(h("div", { class: "bubble-footer", dir: "auto" }, format(preview.footer, unfilled)));
  } else {
    const fields = flatten(message.fields ?? {});
    bubble.append(h("div", { class: "bubble-header" }, bdi(subject(message))),
      fields.length ? h("dl", { class: "bubble-fields" }, fields.map(([name, value]) => [h("dt", null, bdi(name)), h("dd", { dir: "auto" }, String(value ?? "–"))]))
        : h("div", { class: "bubble-body" }, "No fields"));
  }
  bubble.append(h("span", { class: "bubble-time" }, minutes.format(at), incoming ? null : tick(message.tick)));
  const buttons = (preview?.buttons ?? []).map((button) => h("div", { class: "bubble-button" }, icon(buttonIcon(button)), bdi(button.text)));
  fill($("phone"), h("div", { class: "phone-day" }, today(at) ? "Today" : day.format(at)),
    message.state === "rejected" || message.state === "failed"
      ? h("div", { class: "phone-never" }, message.state === "rejected" ? "Rejected: no phone gets this." : "Not accepted yet: no phone has this.") : null,
    h("div", { class: `bubble-group${incoming ? " own" : ""}` }, bubble, buttons));
  const notes = [];
  if (unfilled.length) notes.push(h("span", { class: "warn" }, icon("alert"), `${plural(unfilled.length, "variable")} without a value: `, plain(unfilled.join(", "))));
  else if (!incoming && !parts) notes.push("No template for this, so the phone shows its fields. Templates come from --templates FILE.");
  if (text) {
    const length = [...text].length;
    const most = incoming ? 4096 : 1024;
    notes.push(h("span", { class: length > most ? "warn" : null }, `${thousands.format(length)} of ${thousands.format(most)} characters`));
  }
  fill($("phone-note"), ...notes);
}

function buttonIcon(button) {
  return button.url ? "link" : button.phone ? "phone" : "reply";
}

// -------------------------------------------------------------------------------------------------------- the tabs

// Names and values of a nested object, such as ["order.items[0].sku", "A1"].
function flatten(value, name = "") {
  if (value === null || typeof value !== "object") return [[name, value]];
  if (Array.isArray(value)) {
    return value.length ? value.flatMap((each, index) => flatten(each, `${name}[${index}]`)) : [[name, "[]"]];
  }
  const pairs = Object.entries(value);
  if (!pairs.length && name) return [[name, "{}"]];
  return pairs.flatMap(([key, each]) => flatten(each, name ? `${name}.${key}` : key));
}

const MOST = 500;

function showFields(message) {
  const facts = [
    ["recipient", message.recipient?.name], ["mobile_no", message.recipient?.mobile_no], ["event_key", message.event_key],
    ["template_name", message.template_name], ["event_id", message.event_id], ["message_id", message.message_id],
    ["language", message.language]
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  const fields = flatten(message.fields ?? {});
  fill($("panel-fields"), table("Envelope", facts), fields.length ? table("Fields", fields.slice(0, MOST)) : h("p", { class: "note" }, "This message has no fields."),
    fields.length > MOST ? h("p", { class: "note" }, `and ${plural(fields.length - MOST, "more field")}, see the JSON`) : null);
}

function table(caption, rows) {
  return h("table", { class: "pairs" }, h("caption", null, caption), h("tbody", null, rows.map(([name, value]) =>
    h("tr", null, h("th", { scope: "row" }, plain(String(name))),
      h("td", { dir: "auto", class: typeof value === "string" ? null : "literal" }, plain(value === null ? "null" : String(value)))))));
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const COLOURED = 200_000;

function showJSON(message) {
  const raw = message.body ?? "";
  const text = indented(raw);
  fill($("panel-json"), h("div", { class: "panel-top" }, h("span", { class: "note" }, `${thousands.format(new Blob([raw]).size)} bytes`), copyButton(raw, "the body")),
    h("pre", { class: "code", dir: "ltr" }, h("code", null, text.length > COLOURED ? plain(text) : coloured(text))));
}

// JSON with line breaks. Its numbers and strings stay as they were sent, which parsing would change. Other text stays as it is.
function indented(raw) {
  try { JSON.parse(raw); } catch { return raw; }
  let depth = 0;
  let before = "";
  let text = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of raw.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    const closes = token === "}" || token === "]";
    if (closes) depth -= 1;
    if (before === "{" || before === "[" ? !closes : closes || before === ",") text += line();
    text += token === ":" ? ": " : token;
    if (token === "{" || token === "[") depth += 1;
    before = token;
  }
  return text;
}

function coloured(text) {
  const parts = [];
  let from = 0;
  for (const token of text.matchAll(TOKEN)) {
    parts.push(...plain(text.slice(from, token.index)));
    const kind = token[1] ? (token[2] ? "name" : "string") : /^[tfn]/.test(token[0]) ? "word" : "number";
    parts.push(h("span", { class: `json-${kind}` }, plain(token[1] ?? token[0])), token[2] ?? "");
    from = token.index + token[0].length;
  }
  parts.push(...plain(text.slice(from)));
  return parts;
}

function showSignature(message) {
  const attempts = message.attempts ?? [];
  const panel = $("panel-signature");
  if (!attempts.length) {
    fill(panel, h("p", { class: "note" }, "No attempts, so no headers."));
    return;
  }
  const index = Math.min(attemptShown ?? attempts.length - 1, attempts.length - 1);
  const attempt = attempts[index];
  const steps = (attempt.signature ?? []).filter((step) => step.step !== "verdict");
  const failed = steps.some((step) => step.ok === false);
  const headers = Object.entries(attempt.request_headers ?? {});
  fill(panel,
    attempts.length > 1 ? h("label", { class: "attempt-choice" }, "Attempt ", h("select", {
      id: "attempt-choice", onchange: (event) => { attemptShown = Number(event.target.value); showSignature(message); }
    }, attempts.map((each, at) => h("option", { value: String(at), selected: at === index }, `${at + 1}: ${status(each)}`)))) : null,
    attempt.verdict ? h("p", { class: `verdict ${failed ? "bad" : "good"}` }, icon(failed ? "alert" : "check"), h("span", null, plain(attempt.verdict))) : null,
    steps.length ? h("ol", { class: "steps" }, steps.map((step, at) => h("li", { class: step.ok === false ? "bad" : step.ok ? "good" : "neutral" },
      h("span", { class: "step-mark" }, step.ok === false ? icon("cross", "wrong") : step.ok ? icon("check", "right") : String(at + 1)),
      h("div", { class: "step" }, h("h4", null, plain(String(step.title ?? step.step ?? ""))),
        step.value === null || step.value === undefined || step.value === "" ? null : h("pre", { class: "value", dir: "ltr", tabindex: "0" }, plain(String(step.value))))))) : null,
    message.kind === "incoming" ? h("p", { class: "note" }, "The sandbox signed this message, as the service does, and sent it to your receiver.") : null,
    headers.length ? [h("h3", null, "Request headers"), table("", headers)] : null);
}

function showAttempts(message) {
  const attempts = message.attempts ?? [];
  const callbacks = message.callbacks ?? [];
  $("tab-attempts").textContent = attempts.length > 1 ? `Attempts (${attempts.length})` : "Attempts";
  fill($("panel-attempts"), attempts.length ? h("ol", { class: "line" }, attempts.map((attempt, index) => showAttempt(message, attempt, waited(attempts, index))))
    : h("p", { class: "note" }, "No attempts."),
    callbacks.length ? [h("h3", null, "Callbacks to your receiver"), h("ol", { class: "line" }, callbacks.map((each) =>
      h("li", { class: succeeded({ status: each.receiver_status }) ? "good" : "bad" },
        h("div", { class: "attempt-top" }, h("strong", null, `“${each.status}”`), h("span", null, answered({ ...each, status: each.receiver_status }))),
        h("p", { class: "attempt-facts" }, time(each.at), each.ms === null ? null : h("span", null, milliseconds(each.ms))))))] : null);
}

const answered = (receiver) => (receiver.status ? `answered ${status(receiver)}` : `not received: ${receiver.fault ?? "no answer"}`);

function showAttempt(message, attempt, gap) {
  const good = succeeded(attempt);
  const later = attempt.status === 429 || attempt.status >= 500 || !attempt.status;
  const why = good || attempt.fault ? null : reason(attempt);
  return [gap ? h("li", { class: "gap" }, `${gap} later`) : null,
    h("li", { class: good ? "good" : later ? "warn" : "bad" },
      h("div", { class: "attempt-top" }, h("strong", null, status(attempt)),
        attempt.fault && message.kind !== "incoming" ? h("span", { class: "state planned" }, "planned") : null,
        attempt.retry_after === null || attempt.retry_after === undefined ? null : h("span", { class: "note" }, `Retry-After ${attempt.retry_after} s`)),
      h("p", { class: "attempt-facts" }, time(attempt.at), attempt.ms === null || attempt.ms === undefined ? null : h("span", null, milliseconds(attempt.ms)),
        attempt.request_id ? h("span", { class: "mono" }, bdi(attempt.request_id)) : null),
      attempt.fault && message.kind === "incoming" ? h("p", null, plain(attempt.fault)) : null,
      why ? h("p", null, plain(why)) : null,
      attempt.response_body ? h("pre", { class: "code", dir: "ltr", tabindex: "0" }, h("code", null, coloured(asText(attempt.response_body)))) : null)];
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function openTab(name, focus = false) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !chosen;
    if (chosen && focus) tab.focus();
  }
}

// ------------------------------------------------------------------------------------------------------- doing

async function copy(text, what) {
  try {
    if (!navigator.clipboard) throw new Error("only for pages over https, and on localhost");
    await navigator.clipboard.writeText(text);
  } catch {
    // Development hosts such as http://shop.test have no clipboard API.
    const area = h("textarea", { class: "off-page", readonly: true, "aria-hidden": "true" });
    const focus = document.activeElement;
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focus?.focus();
    if (!copied) return toast("The browser does not allow copying here.", "bad");
  }
  return toast(`Copied ${what}`);
}

function copyButton(text, what, label = "Copy") {
  return h("button", { type: "button", class: "button small", onclick: () => copy(text, what) }, icon("copy"), h("span", null, label), h("span", { class: "hidden-text" }, ` ${what}`));
}

const faultSentence = (faults) => {
  const [first] = faults;
  const what = first.kind === "timeout" ? "gets no answer" : first.kind === "reset" || first.kind === "close" ? "is cut"
    : first.kind === "duplicate" ? "is answered as a duplicate" : `gets a ${first.kind}`;
  return `The next delivery ${what}${first.retry_after !== null && first.retry_after !== undefined ? `, Retry-After ${first.retry_after} s` : ""}`;
};

function showFaults() {
  const faults = (inbox.faults ?? []).flatMap((fault) => Array.from({ length: Math.min(fault.times ?? 1, 20) }, () => fault));
  const box = $("armed");
  const key = JSON.stringify(faults);
  if (box.dataset.key === key) return;

  box.dataset.key = key;
  $("next").classList.toggle("is-armed", faults.length > 0);
  for (const pill of document.querySelectorAll(".pill")) {
    const count = faults.filter((fault) => String(fault.kind) === pill.dataset.kind).length;
    pill.setAttribute("aria-pressed", String(count > 0));
    pill.dataset.count = count > 1 ? String(count) : "";
  }
  if (!faults.length) {
    if (box.contains(document.activeElement)) document.querySelector(".pill").focus();
    box.hidden = true;
    return fill(box);
  }
  box.hidden = false;

  const chain = faults.slice(1, 6).map(faultName);
  if (faults.length > 6) chain.push(`${faults.length - 6} more`);
  return fill(box, h("span", { class: "armed-dot", "aria-hidden": "true" }), h("span", null, h("strong", null, faultSentence(faults)), chain.length ? `, then ${chain.join(", ")}` : ""),
    h("button", { type: "button", class: "button small", id: "cancel-faults", onclick: cancelFaults }, "Cancel"));
}

async function arm(kind) {
  const fault = { kind: /^\d+$/.test(kind) ? Number(kind) : kind };
  if (kind === "429" && $("retry-after").value !== "") fault.retry_after = Number($("retry-after").value);
  plan(await doing(() => post("inbox/faults", fault)));
}

async function cancelFaults() {
  plan(await doing(() => ask("inbox/faults", { method: "DELETE" })));
}

function plan(answer) {
  if (!answer) return;
  inbox.faults = answer.faults;
  showFaults();
}

async function callback(state) {
  const answer = await doing(() => post(messagePath(selected, "/callback"), { status: state }));
  if (answer) received(answer, `Your receiver got “${state}”`);
}

// Shows what the receiver answered, and the message as it is now.
function received(answer, good) {
  const { receiver } = answer;
  if (receiver && succeeded(receiver)) toast(`${good}, and answered ${receiver.status}`);
  else toast(receiver?.status ? `Your receiver answered ${status(receiver)}` : `Your receiver did not answer: ${receiver?.fault ?? ""}`, "bad");
  refresh(answer.message);
}

// Shows a message as an answer brought it, without waiting for news.
function refresh(message) {
  if (!message) return;
  place(message);
  countRows();
  if (message.id === selected) load();
}

async function replay() {
  const answer = await doing(() => post(messagePath(selected, "/replay")));
  if (!answer) return;
  if (answer.receiver) received(answer, "Replayed: your receiver got the message");
  else {
    toast(`Replayed: ${status(answer)}`, succeeded(answer) ? "good" : "bad");
    refresh(answer.message);
  }
}

async function incoming(event) {
  event.preventDefault();
  const form = new FormData(event.target);
  const answer = await doing(() => post("inbox/incoming", { mobile_no: form.get("mobile_no"), text: form.get("text") }));
  if (!answer) return;

  $("incoming").close();
  received(answer, "Your receiver got the message");
  select(answer.message.id, { follow: following });
}

async function rotate() {
  const answer = await doing(() => post("inbox/rotate"));
  if (!answer) return;

  const lines = [answer.key_id ? `export SIMPLECONNECT_KEY_ID=${answer.key_id}` : null, answer.secret ? `export SIMPLECONNECT_SECRET=${answer.secret}` : null].filter(Boolean);
  $("rotate-title").textContent = "The secret is rotated";
  fill($("rotate-body"), h("p", null, "The previous secret is still accepted, and reported as such. Your client takes the new one from:"),
    lines.length ? h("div", { class: "line-to-type" }, h("pre", { class: "code", tabindex: "0" }, h("code", null, lines.join("\n"))), copyButton(lines.join("\n"), "the lines")) : null,
    h("div", { class: "dialog-actions" }, h("button", { type: "button", class: "button primary", onclick: () => $("rotate").close() }, "Done")));
  doing(readStatus);
}

function askRotate() {
  $("rotate-title").textContent = "Rotate the signing secret?";
  fill($("rotate-body"), h("p", null, "The sandbox makes a new secret. The one of now stays valid as the previous one; one before that is refused from now on."),
    h("div", { class: "dialog-actions" }, h("button", { type: "button", class: "button", onclick: () => $("rotate").close() }, "Cancel"),
      h("button", { type: "button", class: "button primary", id: "do-rotate", onclick: rotate }, "Rotate")));
  $("rotate").showModal();
}

async function clear() {
  const answer = await doing(() => ask("inbox", { method: "DELETE" }));
  $("clear").close();
  if (!answer) return;

  forget();
  updateChoices();
  countRows();
}

function forget() {
  messages.clear();
  fill($("list"));
  select(null, { follow: !narrow.matches });
}

// What to type, and where the sandbox is.
function connection() {
  const urls = inbox.urls ?? {};
  const line = (inbox.example ?? "").replace(/ (?=SIMPLECONNECT_|simple_connect )/g, " \\\n");
  return h("div", { class: "connection" },
    line ? h("div", { class: "line-to-type" }, h("pre", { class: "code", tabindex: "0", dir: "ltr" }, h("code", null, line)), copyButton(line, "the line")) : null,
    line.includes("SECRET=…") ? h("p", { class: "note" }, "Write your secret for the three dots.") : null,
    table("The sandbox", [["endpoint_url", urls.endpoint_url], ["base_url of messages", urls.base_url], ["key_id", inbox.key_id], ["secret", inbox.secret_hint],
      ["receiver of callbacks", inbox.receiver ?? "none: --callback-url sets it"]].filter(([, value]) => value)));
}

// -------------------------------------------------------------------------------------------------------- live

function live(state, words, how) {
  const box = $("live");
  if (box.dataset.state === state && box.title === how) return;
  box.dataset.state = state;
  box.textContent = words;
  box.title = how;
}
const lost = () => live("off", "Offline, trying again", "The sandbox does not answer");

async function readStatus() {
  inbox = await ask("inbox/status");
  showFaults();
  countRows();
  if (!messages.size && !selected) showNothing();
  if (detail) showHead(detail);
}

async function pull() {
  apply(await ask(cursor === null ? "inbox/messages" : `inbox/messages?${new URLSearchParams({ since: cursor })}`));
}

// Takes over what is new: of an answer, or of the stream.
function apply(answer) {
  const first = cursor === null;
  cursor = answer.cursor;
  inbox.faults = answer.faults;
  showFaults();
  const inList = $("list").contains(document.activeElement);
  if (answer.reset) forget();
  const fresh = answer.messages.filter((message) => !messages.has(message.id));
  // Oldest first, so that each goes to the top.
  for (const message of [...answer.messages].reverse()) place(message);
  // The server keeps only so many.
  while (messages.size > answer.count) {
    const last = $("list").lastElementChild;
    messages.delete(last.dataset.id);
    last.remove();
  }
  if (!answer.messages.length && !answer.reset && !first) return;

  updateChoices();
  countRows();
  if (found) search();
  if (!first && fresh.length) $("announce").textContent = fresh.length === 1 ? `New: ${subject(fresh[0])} to ${person(fresh[0])}` : `${fresh.length} new messages`;
  const newest = visibleRows()[0]?.dataset.id ?? null;
  if (following && newest !== selected) select(newest, { follow: true, history: false });
  else {
    if (first || answer.messages.some((message) => message.id === selected)) load();
    mark();
  }
  // The row that had the focus may be gone, or hidden by a filter.
  if (inList && !document.activeElement.closest("#list li:not([hidden])")) $("list").querySelector("a[tabindex='0']")?.focus({ preventScroll: true });
}

let timer = null;
let failures = 0;
let stream = null;

const wait = () => (failures ? Math.min(1000 * 2 ** failures, 8000) : 1000);

let round = 0;

// Asks for what is new, again and again; or once, and then listens. Another call, or `hush`, ends it. While nobody looks,
// it asks only once, because Rails logs each request.
async function poll() {
  hush();
  const own = round;
  try {
    if (failures || inbox.urls === undefined) await readStatus();
    await pull();
    if (own !== round) return;
    failures = 0;
    if (inbox.live === "sse" && !document.hidden) {
      listen();
      return;
    }
    live("on", "Live", "Asks the sandbox every second");
  } catch (error) {
    if (own !== round) return;
    failures += 1;
    lost();
    if (!(error instanceof TypeError)) toast(error.message, "bad");
  }
  if (!document.hidden) timer = setTimeout(poll, wait());
}

function hush() {
  round += 1;
  clearTimeout(timer);
  stream?.close();
  stream = null;
}

function listen() {
  stream = new EventSource(`inbox/stream?${new URLSearchParams({ since: cursor })}`);
  stream.onopen = () => {
    live("on", "Live", "The sandbox tells what comes");
    // After an interruption, the sandbox may be another one.
    if (failures) doing(readStatus);
    failures = 0;
  };
  stream.addEventListener("change", (event) => apply(JSON.parse(event.data)));
  stream.onerror = () => {
    lost();
    failures += 1;
    if (stream.readyState !== EventSource.CLOSED) return;
    timer = setTimeout(poll, wait());
  };
}

// ----------------------------------------------------------------------------------------------------- keys, clicks

function move(by) {
  const rows = visibleRows();
  if (!rows.length) return;
  const now = rows.findIndex((row) => row.dataset.id === selected);
  const next = rows[Math.max(0, Math.min(rows.length - 1, now < 0 ? 0 : now + by))];
  select(next.dataset.id);
  next.scrollIntoView({ block: "nearest" });
  if ($("list").contains(document.activeElement)) next.firstElementChild.focus();
}

function escape() {
  if ($("search").value || document.activeElement === $("search")) {
    $("search").value = "";
    $("search").blur();
    search();
  } else {
    const row = messages.get(selected)?.row;
    if (narrow.matches) {
      select(null, { follow: false });
      row?.firstElementChild.focus();
    } else select(visibleRows()[0]?.dataset.id ?? null, { follow: true });
  }
}

const KEYS = {
  j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
  "/": () => { if (narrow.matches) document.body.dataset.view = "list"; $("search").focus(); $("search").select(); },
  "?": () => $("help").showModal(), Escape: escape,
  1: () => openTab("fields"), 2: () => openTab("json"), 3: () => openTab("signature"), 4: () => openTab("attempts")
};

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest?.("input, textarea, select");
  if (typing && event.key !== "Escape") {
    if (event.target === $("search") && (event.key === "Enter" || event.key === "ArrowDown")) {
      event.preventDefault();
      visibleRows()[0]?.firstElementChild.focus();
    }
    return;
  }
  const arrow = event.key.startsWith("Arrow");
  if (arrow && !$("list").contains(event.target)) return;
  const action = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
  if (!action) return;
  event.preventDefault();
  action();
}

function pressedInTabs(event) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const now = tabs.indexOf(event.target);
  const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (now < 0 || next === undefined) return;
  event.preventDefault();
  openTab(tabs[(next + tabs.length) % tabs.length].id.slice("tab-".length), true);
}

function route() {
  const id = /^#\/(.+)$/.exec(location.hash)?.[1];
  if (id) select(decodeURIComponent(id), { history: false });
  else if (narrow.matches) select(null, { follow: false, history: false });
  else select(visibleRows()[0]?.dataset.id ?? null, { follow: true, history: false });
}

function start() {
  document.addEventListener("keydown", pressed);
  document.querySelector("[role=tablist]").addEventListener("keydown", pressedInTabs);
  for (const tab of document.querySelectorAll("[role=tab]")) tab.addEventListener("click", () => openTab(tab.id.slice("tab-".length)));
  for (const pill of document.querySelectorAll(".pill")) pill.addEventListener("click", () => arm(pill.dataset.kind));
  for (const button of document.querySelectorAll("[data-status]")) button.addEventListener("click", () => callback(button.dataset.status));
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(detail.code[button.dataset.copy], `it as ${button.textContent}`));
  }
  for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
  $("replay").addEventListener("click", replay);
  $("back").addEventListener("click", escape);
  $("do-clear").addEventListener("click", clear);
  $("incoming-form").addEventListener("submit", incoming);
  $("open-help").addEventListener("click", () => $("help").showModal());
  $("open-clear").addEventListener("click", () => $("clear").showModal());
  $("open-rotate").addEventListener("click", askRotate);
  $("open-connect").addEventListener("click", () => { fill($("connect-body"), connection()); $("connect").showModal(); });
  $("open-incoming").addEventListener("click", () => {
    $("incoming-note").textContent = inbox.receiver ? `It goes to ${inbox.receiver}, signed.` : NO_RECEIVER;
    $("send-incoming").disabled = !inbox.receiver;
    const to = detail?.recipient?.mobile_no;
    if (to) $("incoming-form").elements.mobile_no.value = to;
    $("incoming").showModal();
  });
  let typed = null;
  $("search").addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(search, 120); });
  for (const id of ["by-event", "by-state", "by-recipient"]) $(id).addEventListener("change", filter);
  $("list").addEventListener("click", (event) => {
    const row = event.target.closest("li");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    select(row.dataset.id);
    if (narrow.matches) $("detail").focus();
  });
  addEventListener("popstate", route);
  narrow.addEventListener("change", () => { if (!selected) route(); });
  // A browser has only six connections to a server: a page that nobody looks at, or that the browser keeps for the Back
  // button, must not hold one.
  addEventListener("pagehide", hush);
  addEventListener("pageshow", (event) => { if (event.persisted) poll(); });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hush();
    else poll();
  });
  const id = /^#\/(.+)$/.exec(location.hash)?.[1];
  if (id) {
    selected = decodeURIComponent(id);
    following = false;
    document.body.dataset.view = "detail";
  } else following = !narrow.matches;
  poll();
}

start();
