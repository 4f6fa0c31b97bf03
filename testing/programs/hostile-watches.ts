/** Jobs that take watches of epoll and inotify, and other things that Linux limits for one user and not for one job: the
 *  platform may be the same user. They need Perl alone. Each prints BREACH when it still has them after a while. */
import { spawnSync } from 'node:child_process'
import type { Attack } from './hostile-attacks.ts'

/** Each takes so many, one after the other: the platform must not lose what it needs while it is found out. */
const takenMax = 8_000_000
const heldSeconds = 20

/** Numbers of calls, and the layout of an event, differ by processor. */
const lead = String.raw`
use strict; use warnings; use POSIX ();
my $arm = qx(uname -m) =~ /aarch64/;
my ($create, $control, $inotify, $observe, $prctl, $exit) =
  $arm ? (20, 21, 26, 27, 167, 93) : (291, 233, 294, 254, 157, 60);
my $event = $arm ? pack('L x4 Q', 1, 0) : pack('L Q', 1, 0);
my $taken = 0;
sub epoll { my $number = syscall($create, 0); $number }
sub add { syscall($control, $_[0], 1, $_[1], $event) == 0 and ++$taken < ${takenMax} }
sub hold { for (1 .. ${heldSeconds * 10}) { select(undef, undef, undef, 0.1) } print "BREACH\n" }
pipe(my $from, my $to) or die;
my $pipe = fileno($from);
sub copies { map { POSIX::dup($pipe) // () } 1 .. $_[0] }
sub take {
  my @copies = copies(10_000);
  while ((my $epoll = epoll()) >= 0) { for (@copies) { add($epoll, $_) or return } }
}
`
const perl = (script: string): readonly string[] => ['perl', '-e', `${lead}${script}\nprint "done\\n";`]

const hasThreads = spawnSync('perl', ['-e', 'require threads']).status === 0
const inThread = 'takes all watches of epoll in a thread that outlives the first one'

const epollAttacks = {
  'takes all watches of epoll': `
my @epolls = map { epoll() } 1 .. 1_000;
my @copies = copies(16_900);
TAKE: for my $epoll (@epolls) { for (@copies) { add($epoll, $_) or last TAKE } }`,
  'takes all watches of epoll with few files, by numbers that it closes': `
my @epolls = map { epoll() } 1 .. 100;
TAKE: for my $number (1_000 .. 60_000) {
  POSIX::dup2($pipe, $number) or last;
  for (@epolls) { add($_, $number) or last TAKE }
  POSIX::close($number);
}`,
  'takes all watches of epoll in many processes': `
for (1 .. 50) {
  next if fork;
  my @copies = copies(2_000);
  TAKE: for (1 .. 100) { my $epoll = epoll(); for (@copies) { add($epoll, $_) or last TAKE } }
  last;
}`,
  'takes all watches of epoll behind many open files': `
if (!fork) {
  my @copies = copies(8_000);
  TAKE: while ((my $epoll = epoll()) >= 0) { for (@copies) { add($epoll, $_) or last TAKE } }
} else { for (1 .. 4) { next if fork; copies(12_000); last } }`,
  'takes all watches of epoll in a process that hides its open files': `
syscall($prctl, 4, 0, 0, 0, 0);
take();`,
  'takes all watches of epoll beside a process that it has started': `
fork or exec 'sleep', 60;
take();`,
  [inThread]: `
require threads;
threads->create(sub { take(); hold() })->detach;
syscall($exit, 0);`,
}

/** A server of an honest job, with fewer watches than are allowed. */
export const manyWatches = perl(`
my @copies = copies(10_000);
for (1 .. 6) { my $epoll = epoll(); add($epoll, $_) for @copies }
select(undef, undef, undef, 18);`)

/** They run one after the other: together they are the same user of Linux. */
export const watchAttacks: readonly Attack[] = [
  ...Object.entries(epollAttacks).map(([name, script]) => ({
    name,
    spec: { memoryMib: 512, timeoutSeconds: 60, command: perl(`${script}\nhold();`) },
    ends: { ended: 'failed', code: 'JOB_MEMORY_EXCEEDED' },
    leftOut: name === inThread && !hasThreads ? 'no Perl with threads is here' : undefined,
  })),
  {
    name: 'opens files without end',
    spec: {
      memoryMib: 512,
      command: perl('for (1 .. 3) { fork } copies(50_000); hold();'),
    },
    ends: { ended: 'failed', code: 'JOB_MEMORY_EXCEEDED' },
  },
  {
    name: 'takes all watches and instances of inotify',
    spec: {
      memoryMib: 512,
      command: perl(`
mkdir 'd' or die;
for (1 .. 4_000) { open(my $file, '>', "d/$_") or last }
my @paths = glob 'd/*';
my $instances = 0;
TAKE: for (1 .. 1_000) {
  my $instance = syscall($inotify, 0);
  last if $instance < 0;
  $instances++;
  for (@paths) { my $path = "$_\\0"; syscall($observe, $instance, $path, 2) >= 0 or last TAKE; $taken++ }
}
hold() if $taken > 100_000 || $instances > 64;`),
    },
  },
]
