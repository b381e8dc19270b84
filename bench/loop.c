/* The lower bound: one connection, and one write and one read per request.
   usage: loop PORT REQUEST_FILE COUNT; prints wall time and CPU time per request, in microseconds.
   Ruby's threads call it as a shared library. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

/* Connects to this port of localhost; negative on failure. */
int dial(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int connection = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return connect(connection, (struct sockaddr *)&address, sizeof address) ? -1 : connection;
}

/* Sends the request and reads the answer; 0 on success. */
int deliver(int connection, const char *request, long length) {
  char answer[4096];
  return write(connection, request, length) != length || read(connection, answer, sizeof answer) <= 0;
}

int main(int argc, char **argv) {
  static char request[2 << 20];
  if (argc != 4) return 2;
  FILE *file = fopen(argv[2], "rb");
  if (!file) return 2;
  long length = fread(request, 1, sizeof request, file);
  long count = atol(argv[3]);

  int connection = dial(atoi(argv[1]));
  if (connection < 0) return 1;

  struct timespec start, end;
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (long i = 0; i < count; i++)
    if (deliver(connection, request, length)) return 1;
  clock_gettime(CLOCK_MONOTONIC, &end);
  getrusage(RUSAGE_SELF, &after);

  double wall = (end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) / 1e9;
  double cpu = seconds(after.ru_utime) + seconds(after.ru_stime) - seconds(before.ru_utime) - seconds(before.ru_stime);
  printf("%.3f %.3f\n", wall / count * 1e6, cpu / count * 1e6);
  return 0;
}
