/** Programs of jobs that hold a port of 127.0.0.1 so that Linux does not show which process has it. They are written in C,
 *  and compiled by the job. */

/** How a job holds the port:
 *  - `bound`: without listening there.
 *  - `thread`: in a thread that has left the table of open files of its process.
 *  - `flight`: on its way through a socket.
 *  - `ring`: among the files of an io_uring that has no open file itself.
 *  - `multipath`: by MPTCP, of which Linux shows another socket.
 *  - `connected`: by a connection from that port.
 *  - `eager`: as soon as it is free. */
export type HoldTrick = 'eager' | 'bound' | 'thread' | 'flight' | 'ring' | 'multipath' | 'connected'

const source = `
#define _GNU_SOURCE
#include <sched.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <netinet/in.h>
#include <unistd.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
static int s, ready;
static struct sockaddr_un peer = { .sun_family = AF_UNIX };
static socklen_t name(const char *text) { strcpy(peer.sun_path + 1, text); return sizeof(sa_family_t) + 1 + strlen(text); }
static int fail(const char *what) { perror(what); return 1; }
static int say(const char *what) { puts(what); fflush(stdout); for (;;) pause(); }
static void pass(int to) {
  char b[64] = {0}, d = 'x'; struct iovec io = { &d, 1 };
  struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = b, .msg_controllen = CMSG_SPACE(sizeof s) };
  struct cmsghdr *h = CMSG_FIRSTHDR(&m); h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_RIGHTS; h->cmsg_len = CMSG_LEN(sizeof s);
  memcpy(CMSG_DATA(h), &s, sizeof s); sendmsg(to, &m, 0); close(s);
}
static void receive(const char *from) {
  int l = socket(AF_UNIX, SOCK_STREAM, 0); bind(l, (void *)&peer, name(from)); listen(l, 1); int k = accept(l, 0, 0);
  char b[64], x; struct iovec io = { &x, 1 }; struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = b, .msg_controllen = 64 };
  recvmsg(k, &m, 0); memcpy(&s, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof s); write(k, "x", 1); close(k); close(l);
}
static void *hold(void *from) { unshare(CLONE_FILES); if (from) receive(from); ready = 1; for (;;) pause(); }
int main(int n, char **v) {
  const char *trick = v[2]; pthread_t t;
  if (strcmp(trick, "keep") == 0) { pthread_create(&t, 0, hold, v[3]); while (!ready) usleep(1000); return say("held"); }
  s = socket(AF_INET, SOCK_STREAM, strcmp(trick, "multipath") == 0 ? 262 : 0);
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(v[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  while (bind(s, (void *)&a, sizeof a)) { if (strcmp(trick, "eager")) return fail("bind"); usleep(1000); }
  if (strcmp(trick, "bound") == 0) return say("held");
  if (strcmp(trick, "connected") == 0) {
    int l = socket(AF_INET, SOCK_STREAM, 0); struct sockaddr_in b = { .sin_family = AF_INET }; socklen_t size = sizeof b;
    if (listen(l, 1) || getsockname(l, (void *)&b, &size) || connect(s, (void *)&b, size)) return fail("connect");
    return say("held");
  }
  if (listen(s, 9)) return fail("listen");
  if (strcmp(trick, "thread") == 0) { pthread_create(&t, 0, hold, 0); while (!ready) usleep(1000); close(s); }
  if (strcmp(trick, "flight") == 0) { int p[2]; socketpair(AF_UNIX, SOCK_DGRAM, 0, p); pass(p[0]); }
  if (strcmp(trick, "ring") == 0) {
    char params[256] = {0}; int r = syscall(425, 2, params);
    if (r < 0 || mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0) == MAP_FAILED) return fail("io_uring");
    if (syscall(427, r, 2, &s, 1)) return fail("io_uring");
    close(r); close(s);
  }
  if (strcmp(trick, "give") == 0) {
    int k = socket(AF_UNIX, SOCK_STREAM, 0); char x; socklen_t size = name(v[3]);
    while (connect(k, (void *)&peer, size)) usleep(50000);
    pass(k); read(k, &x, 1); return 0;
  }
  return say("held");
}`

const program = (...words: readonly (string | number)[]) => ({
  files: [{ path: 'hold.c', content: source }],
  command: ['sh', '-c', 'gcc -w -o hold hold.c -lpthread && exec ./hold "$@"', 'sh', ...words.map(String)],
})

/** Returns the files and the command of a job that holds a port, and prints `held` when it does. */
export const holdPort = (port: number, trick: HoldTrick) => program(port, trick)

/** Returns those of a job that gets the port from another one, which ends then. They meet by a name. */
export const keepPort = (name: string) => program(0, 'keep', name)
export const givePort = (port: number, name: string) => program(port, 'give', name)
