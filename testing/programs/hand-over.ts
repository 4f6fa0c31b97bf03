/** Jobs of which one gives open files to another, over a socket without a path. They need Perl alone. */

const lead = `
use strict; use warnings; use Socket; $| = 1;
my ($sendmsg, $recvmsg) = qx(uname -m) =~ /aarch64/ ? (211, 212) : (46, 47);
my $page = 'x' x (1024 * 1024);
`

/** Returns the command of a job that keeps what it gets, and prints how many files that are. */
export const keeper = (name: string): readonly string[] => [
  ...['perl', '-e'],
  `${lead}
socket(my $door, AF_UNIX, SOCK_STREAM, 0) or die;
bind($door, pack('S a*', AF_UNIX, "\\x00${name}")) or die; listen($door, 50) or die;
my @kept;
print "ready\\n";
while (accept(my $giver, $door)) {
  my ($byte, $rights) = ('x', "\\0" x 24);
  my $part = pack('P Q', $byte, 1);
  my $message = pack('Q L x4 P Q P Q i x4', 0, 0, $part, 1, $rights, 24, 0);
  syscall($recvmsg, fileno($giver), $message, 0) == 1 or next;
  my (undef, undef, undef, $number) = unpack('Q i i i', $rights);
  open(my $file, '+<&=', $number) or die;
  push @kept, $file;
  print "kept ", scalar @kept, "\\n";
  syswrite($giver, 'k');
}`,
]

/** Returns the command of a job that gives away files with so many MiB each, again and again, `count` of them.
 *  @param path of each file; it is removed where `isRemoved`. */
export const giver = (
  name: string,
  { path, mib, count, isRemoved }: { path: string; mib: number; count: number; isRemoved: boolean },
): readonly string[] => [
  ...['perl', '-e'],
  `${lead}
for my $turn (1 .. ${count}) {
  open(my $file, '+>', "${path}$turn") or do { select(undef, undef, undef, 0.05); next };
  ${isRemoved ? `unlink "${path}$turn";` : ''}
  for (1 .. ${mib}) { syswrite($file, $page) or last }
  socket(my $keeper, AF_UNIX, SOCK_STREAM, 0) or die;
  connect($keeper, pack('S a*', AF_UNIX, "\\x00${name}")) or exit 0;
  my ($byte, $rights) = ('x', pack('Q i i i x4', 20, 1, 1, fileno($file)));
  my $part = pack('P Q', $byte, 1);
  my $message = pack('Q L x4 P Q P Q i x4', 0, 0, $part, 1, $rights, 24, 0);
  syscall($sendmsg, fileno($keeper), $message, 0) == 1 or die;
  sysread($keeper, $byte, 1);
}
print "given\\n";`,
]
