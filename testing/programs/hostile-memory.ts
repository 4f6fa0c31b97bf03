/** Jobs that take memory, or disk, where the pages of their processes and their folders do not show it. They need Perl alone. Each takes more than it
 *  may, waits for its end, and prints BREACH when none comes. */
import { existsSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import type { IsolationKind } from '../../infra/clusters/process.ts'
import type { Attack } from './hostile-attacks.ts'

/** More than an idle Perl takes in all ways that are counted. */
const memoryMib = 48
const takenMib = 160
/** How long a job holds what it took; it is looked at every 250 ms, or much later on a busy machine. */
const heldSeconds = 50

/** Writes to files of at most 4 MiB each, which no limit of a file's size meets. Numbers of calls differ by processor. */
const lead = String.raw`
use strict; use warnings;
my $arm = qx(uname -m) =~ /aarch64/;
my ($memfd, $mmap, $sendmsg, $prctl, $munmap, $exit) =
  $arm ? (279, 222, 211, 167, 215, 93) : (319, 9, 46, 157, 11, 60);
$SIG{XFSZ} = 'IGNORE';
my $page = 'x' x (1024 * 1024);
my @kept;
sub fresh {
  my $name = "x\0";
  my $number = syscall($memfd, $name, 0);
  exit 3 if $number < 0;
  open(my $file, '+>&=', $number) or die;
  for (1 .. 4) { syswrite($file, $page) or die }
  return $file;
}
sub unnamed {
  open(my $file, '+>', "unnamed") or die;
  unlink "unnamed";
  for (1 .. 4) { syswrite($file, $page) or die }
  return $file;
}
sub hold { for (1 .. ${heldSeconds * 10}) { select(undef, undef, undef, 0.1) } print "BREACH\n" }
`
/** Linux lets an ordinary user set limits in a namespace since 6.9; AppArmor may leave namespaces to bubblewrap alone. */
const [major = 0, minor = 0] = release().split('.').map(Number)
const setsLimits = major > 6 || (major === 6 && minor >= 9)
const restriction = '/proc/sys/kernel/apparmor_restrict_unprivileged_userns'
const restrictsUsers = existsSync(restriction) && readFileSync(restriction, 'utf8').startsWith('1')

const exceeded = { ended: 'failed', code: 'JOB_MEMORY_EXCEEDED' }
const diskExceeded = { ended: 'failed', code: 'JOB_DISK_EXCEEDED' }
const perl = (script: string): readonly string[] => ['perl', '-e', `${lead}${script}\nprint "done\\n";`]

const attacks: readonly Attack[] = [
  {
    name: 'writes to files in memory without mapping them',
    spec: { memoryMib, command: perl(`push @kept, fresh() for 1 .. ${takenMib / 4}; hold();`) },
    ends: exceeded,
  },
  {
    name: 'hides its open files',
    spec: {
      memoryMib,
      command: perl(`syscall($prctl, 4, 0, 0, 0, 0); push @kept, fresh() for 1 .. ${takenMib / 4}; hold();`),
    },
    ends: exceeded,
  },
  {
    name: 'fills the shared memory with many files',
    spec: {
      memoryMib,
      command: perl(`my $taken = 0;
for (1 .. ${takenMib / 4}) {
  open(my $file, '>', "/dev/shm/$_") or last;
  for (1 .. 4) { $taken++ if (syswrite($file, $page) // 0) == length $page }
}
hold() if $taken > ${memoryMib};`),
    },
    // It has the shared memory of the machine.
    notPromised: ['uid'],
  },
  {
    name: 'maps one page of files in memory, and closes them',
    spec: {
      memoryMib,
      command:
        perl(`for (1 .. ${takenMib / 4}) { my $file = fresh(); syscall($mmap, 0, 4096, 1, 1, fileno($file), 0); close $file }
hold();`),
    },
    ends: exceeded,
    // Only root may look behind a mapping.
    notPromised: ['user-namespaces', 'bubblewrap'],
  },
  {
    name: 'sends files in memory to itself and never receives them',
    spec: {
      memoryMib,
      command: perl(`use Socket;
for (1 .. ${takenMib / 4}) {
  socketpair(my $here, my $there, AF_UNIX, SOCK_STREAM, 0) or die;
  my $file = fresh();
  my ($byte, $rights) = ('x', pack('Q i i i x4', 20, 1, 1, fileno($file)));
  my $part = pack('P Q', $byte, 1);
  my $message = pack('Q L x4 P Q P Q i x4', 0, 0, $part, 1, $rights, 24, 0);
  syscall($sendmsg, fileno($here), $message, 0) == 1 or die;
  push @kept, $here, $there;
}
hold();`),
    },
    ends: exceeded,
  },
  {
    name: 'writes to segments of shared memory that nobody has attached',
    spec: {
      memoryMib,
      command: perl(`my $taken = 0;
for (1 .. ${takenMib}) {
  my $id = shmget(0, 1024 * 1024, 0600 | 01000);
  defined $id && shmwrite($id, $page, 0, 1024 * 1024) or last;
  $taken++;
}
hold() if $taken > ${memoryMib};`),
    },
    ...(!setsLimits && { notPromised: ['user-namespaces', 'bubblewrap'] as const }),
    ...(setsLimits && restrictsUsers && { notPromised: ['bubblewrap'] as const }),
  },
  {
    name: 'writes to memory that is secret also to Linux, without keeping it mapped',
    spec: {
      memoryMib,
      // Linux may have none (memfd_secret).
      command: perl(`for (1 .. ${takenMib / 4}) {
  my $number = syscall(447, 0);
  exit 0 * print "done\\n" if $number < 0;
  open(my $file, '+>&=', $number) or die;
  truncate($file, 4 * length $page) or die;
  my $at = syscall($mmap, 0, 4 * length $page, 3, 0x8001, $number, 0);
  syscall($munmap, $at, 4 * length $page);
  push @kept, $file;
}
hold();`),
    },
  },
  {
    name: 'takes memory in a thread that outlives the first one',
    spec: {
      memoryMib,
      // Perl may have no threads.
      command: perl(`eval { require threads } or exit 0 * print "done\\n";
threads->create(sub { sleep 1; my $taken = $page x shift; hold() if length $taken }, ${takenMib})->detach;
syscall($exit, 0);`),
    },
  },
  {
    name: 'writes to files of the disk that have no name',
    spec: { memoryMib: 512, command: perl('push @kept, unnamed() for 1 .. 8; hold();') },
    ends: diskExceeded,
  },
  {
    name: 'maps files of the disk, removes and closes them',
    spec: {
      memoryMib: 512,
      command: perl(`for (1 .. 8) { my $file = unnamed(); syscall($mmap, 0, 4096, 1, 1, fileno($file), 0); close $file }
hold();`),
    },
    ends: diskExceeded,
    // Only root may look behind a mapping.
    notPromised: ['user-namespaces', 'bubblewrap'],
  },
  {
    name: 'has mappings whose text is long',
    spec: {
      memoryMib: 512,
      command: perl(String.raw`for (1 .. 14) { my $name = "\n" x 255; mkdir $name or die; chdir $name or die }
open(my $file, '+>', 'f') or die;
truncate($file, 4096);
for (1 .. 40_000) { syscall($mmap, 0, 4096, 1, 1, fileno($file), 0) }
hold();`),
    },
    ends: exceeded,
  },
  {
    name: 'fills many pipes',
    spec: {
      memoryMib: 96,
      command: perl(`my $taken = 0;
for (1 .. 400) {
  pipe(my $from, my $to) or last;
  fcntl($to, 1031, 1024 * 1024);
  fcntl($to, 4, 2049);
  while (my $written = syswrite($to, substr($page, 0, 4096))) { $taken += $written }
  push @kept, $from, $to;
}
hold() if $taken > 96 * 1024 * 1024;`),
    },
  },
]

/** Returns the attacks that this way to isolate promises to withstand; they may run side by side. */
export const memoryAttacks = (kind: IsolationKind): readonly Attack[] =>
  attacks.filter(({ notPromised }) => !notPromised?.includes(kind))
