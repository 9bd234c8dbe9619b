// tamper HOW NTH [MESSAGE ERRNO] -- COMMAND...: runs a command and meddles with what its main thread and the kernel say
// to each other by netlink. strace(1) can write over a whole datagram only, in which are numbers of interfaces that
// nobody knows before.
//
// - refuse NTH MESSAGE ERRNO: of its nth sendto(2), this message becomes one that the kernel does not know, and the
//   errno of the answer this one.
// - blame NTH ERRNO: the nth recvfrom(2) that brings an errno, be it 0, brings this one, whatever was done.
// - longer NTH, shorter NTH: the first answer to the nth sendto(2) says to be longer than it is, or shorter than its
//   header.
// - truncated NTH: it did not fit.
// - interrupted NTH: it belongs to a dump that was interrupted.
// - silent NTH: the kernel hears nothing, and answers nothing.
//
// Exit status: the command's; 99: what was asked for did not come up.
#define _GNU_SOURCE
#include <elf.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most = 1 << 20, nfnetlink_batch_begin = 16, nfnetlink_subsystem = 0x100 };

static const char *how;
static long nth, message, number; // as the words say
static long sends, errors;        // so far
static uint32_t seq;              // of the message in question, or of the datagram's first
static bool is_sent, is_done;
static uint8_t bytes[most];

static bool is(const char *name) {
  return strcmp(how, name) == 0;
}

static bool transfer(pid_t pid, uint64_t address, size_t length, bool is_read) {
  struct iovec here = {bytes, length}, there = {(void *)(uintptr_t)address, length};
  ssize_t done =
      is_read ? process_vm_readv(pid, &here, 1, &there, 1, 0) : process_vm_writev(pid, &here, 1, &there, 1, 0);
  return done == (ssize_t)length;
}

static struct nlmsghdr *header(size_t at) {
  return (struct nlmsghdr *)(bytes + at);
}

// Where the nth message of a datagram begins, from 0.
static size_t message_at(size_t length, long index) {
  size_t at = 0;
  while (index-- > 0 && at + sizeof(struct nlmsghdr) <= length)
    at += NLMSG_ALIGN(header(at)->nlmsg_len);
  return at;
}

static void on_send(pid_t pid, uint64_t address, uint64_t length) {
  if (is("blame") || ++sends != nth || length > most || !transfer(pid, address, length, true))
    return;
  is_sent = true;
  size_t at = is("refuse") ? message_at(length, message) : 0;
  if (at + sizeof(struct nlmsghdr) + 4 > length)
    return;
  struct nlmsghdr *one = header(at);
  seq = one->nlmsg_seq;
  if (is("silent")) {
    one->nlmsg_len = 0; // netlink_rcv_skb(), net/netlink/af_netlink.c, is done with it
    is_done = true;
  } else if (is("refuse")) {
    bool is_netfilter = false;
    for (size_t next = 0; next + sizeof *one <= length && header(next)->nlmsg_len >= sizeof *one;
         next += NLMSG_ALIGN(header(next)->nlmsg_len))
      is_netfilter |= header(next)->nlmsg_type >= nfnetlink_subsystem;
    if (is_netfilter && one->nlmsg_type == nfnetlink_batch_begin)
      memset((uint8_t *)one + sizeof *one + 2, 0xff,
             2); // of no subsystem: nfnetlink_rcv_batch(), net/netfilter/nfnetlink.c
    else
      one->nlmsg_type = is_netfilter ? one->nlmsg_type | 0xfe : 0xffe;
  } else {
    return;
  }
  transfer(pid, address, length, false);
}

static void set_answer(pid_t pid, long answer) {
  struct user_regs_struct registers;
  struct iovec all = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all))
    return;
#if defined(__x86_64__)
  registers.rax = (unsigned long long)answer;
#else
  registers.regs[0] = (unsigned long long)answer;
#endif
  ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all);
}

static void on_receive(pid_t pid, uint64_t address, int64_t length) {
  if (is_done || (!is_sent && !is("blame")) || length < (int64_t)sizeof(struct nlmsghdr) || length > most ||
      !transfer(pid, address, (size_t)length, true))
    return;
  struct nlmsghdr *one = header(0);
  struct nlmsgerr *error = NLMSG_DATA(one);
  if (is("blame")) {
    if (one->nlmsg_type != NLMSG_ERROR || ++errors != nth)
      return;
    error->error = -(int)number;
  } else if (one->nlmsg_seq != seq) {
    return;
  } else if (is("refuse")) {
    if (one->nlmsg_type != NLMSG_ERROR)
      return;
    error->error = -(int)number;
  } else if (is("longer")) {
    one->nlmsg_len = (uint32_t)length + 4;
  } else if (is("shorter")) {
    one->nlmsg_len = sizeof *one / 2;
  } else if (is("interrupted")) {
    one->nlmsg_flags |= NLM_F_DUMP_INTR;
  } else if (is("truncated")) {
    set_answer(pid, most);
  }
  is_done = true;
  transfer(pid, address, (size_t)length, false);
}

// Follows the main thread from call to call; gives its wait status.
static int follow(pid_t pid) {
  struct __ptrace_syscall_info info;
  uint64_t call = 0, address = 0;
  int status, passed = 0;
  waitpid(pid, &status, 0);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  while (!WIFEXITED(status) && !WIFSIGNALED(status)) {
    ptrace(PTRACE_SYSCALL, pid, 0, passed);
    passed = 0;
    if (waitpid(pid, &status, 0) < 0)
      return 0;
    if (!WIFSTOPPED(status))
      continue;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
      if (WSTOPSIG(status) != SIGTRAP) // of execve(2)
        passed = WSTOPSIG(status);
      continue;
    }
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0)
      continue;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      call = info.entry.nr;
      address = info.entry.args[1];
      if (call == SYS_sendto)
        on_send(pid, address, info.entry.args[2]);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && call == SYS_recvfrom) {
      on_receive(pid, address, info.exit.rval);
    }
  }
  return status;
}

int main(int argc, char **argv) {
  int at = 1;
  while (at < argc && strcmp(argv[at], "--"))
    at++;
  if (at < 3 || at + 1 >= argc) {
    fprintf(stderr, "usage: tamper HOW NTH [MESSAGE ERRNO] -- COMMAND...\n");
    return 2;
  }
  how = argv[1];
  nth = atol(argv[2]);
  message = at > 4 ? atol(argv[3]) : 0;
  number = at > 3 ? atol(argv[at - 1]) : 0;
  pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    execvp(argv[at + 1], argv + at + 1);
    _exit(127);
  }
  int status = follow(pid);
  if (!is_done)
    return 99;
  if (WIFSIGNALED(status))
    return 128 + WTERMSIG(status);
  return WEXITSTATUS(status);
}
