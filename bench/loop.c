/* The limit: one connection, one write and one read for each request, and nothing else.
   usage: loop PORT REQUEST_FILE COUNT; prints the microseconds of wall time and of CPU for each. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

int main(int argc, char **argv) {
  static char request[2 << 20], answer[64 << 10];
  if (argc != 4) return 2;
  FILE *file = fopen(argv[2], "rb");
  if (!file) return 2;
  size_t length = fread(request, 1, sizeof request, file);
  long count = atol(argv[3]);

  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int socket_fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(socket_fd, (struct sockaddr *)&address, sizeof address)) return 1;

  struct timespec start, end;
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (long i = 0; i < count; i++) {
    if (write(socket_fd, request, length) != (ssize_t)length) return 1;
    if (read(socket_fd, answer, sizeof answer) <= 0) return 1;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  getrusage(RUSAGE_SELF, &after);

  double wall = (end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) / 1e9;
  double cpu = seconds(after.ru_utime) + seconds(after.ru_stime) - seconds(before.ru_utime) - seconds(before.ru_stime);
  printf("%.3f %.3f\n", wall / count * 1e6, cpu / count * 1e6);
  return 0;
}
