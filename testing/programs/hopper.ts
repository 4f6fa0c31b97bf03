/** A job that hands what it holds from process to process: each starts the next one and ends. It needs Perl alone. It takes
 *  a file in memory of so many MiB, or so many thousand watches of epoll, and prints done after so many seconds. It signals
 *  no process, so that it may run anywhere. */
const script = String.raw`
use strict; use warnings; use POSIX ();
$| = 1;
my ($what, $count, $restMs, $seconds) = @ARGV;
my $arm = qx(uname -m) =~ /aarch64/;
my ($memfd, $create, $control) = $arm ? (279, 20, 21) : (319, 291, 233);
my $event = $arm ? pack('L x4 Q', 1, 0) : pack('L Q', 1, 0);
my $name = "held\0";
my $piece = "\1" x 1048576;
my ($file, @copies);
if ($what eq 'memory') { $file = syscall($memfd, $name, 0); $file >= 0 or die "memfd_create: $!" }
else { pipe(my $from, my $to) or die; @copies = map { POSIX::dup(fileno($from)) // die "dup: $!" } 1 .. 1_000 }
exit 0 if fork;
my ($held, $hops, $until, $shown) = (0, 0, time + $seconds, 0);
while (time < $until) {
  if ($held < $count) {
    if ($what eq 'memory') { (POSIX::write($file, $piece, length $piece) // 0) == length $piece or exit 1 }
    else { my $epoll = syscall($create, 0); for (@copies) { syscall($control, $epoll, 1, $_, $event) == 0 or exit 1 } }
    $held++;
  } else { select(undef, undef, undef, $restMs / 1_000) if $restMs }
  if (time != $shown) { $shown = time; print "held $held hops $hops\n" }
  $hops++;
  my $next;
  # Those that have ended wait to be collected, and there may be too many of them.
  select(undef, undef, undef, 0.01) until defined($next = fork) or time >= $until;
  POSIX::_exit(0) if $next;
}
print "done\n";
`

/** Returns the command of a job whose first process waits so many seconds while others hop. */
export const hopper = (
  what: 'memory' | 'watches',
  count: number,
  { restMs = 0, seconds = 12 }: { readonly restMs?: number; readonly seconds?: number } = {},
): readonly string[] => [
  ...['sh', '-c', 'perl -e "$0" "$@"; sleep "$4"; echo over'],
  ...[script, what, String(count), String(restMs), String(seconds)],
]
