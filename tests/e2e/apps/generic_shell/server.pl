# HTTP/1.1 in plain Perl: one child per connection, keep-alive, the request's body is echoed.
use strict;
use warnings;
use IO::Socket::INET;

my $listener = IO::Socket::INET->new(LocalAddr => $ENV{HOST}, LocalPort => $ENV{PORT}, Listen => 512, ReuseAddr => 1)
    or die "cannot listen on $ENV{HOST}:$ENV{PORT}: $@\n";
$SIG{CHLD} = 'IGNORE';
$SIG{TERM} = sub { close $listener; exit 0 };

while (my $client = $listener->accept) {
    my $pid = fork // die "cannot fork: $!\n";
    if ($pid) { close $client; next }
    close $listener;
    serve($client);
    exit 0;
}

sub serve {
    my ($client) = @_;
    binmode $client;
    while (my $first = <$client>) {
        my ($method, $path) = split ' ', $first;
        my ($length, $close) = (0, 0);
        while (my $line = <$client>) {
            last if $line =~ /^\r?\n$/;
            $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
            $close = 1 if $line =~ /^connection:\s*close/i;
        }
        my $body = '';
        read($client, $body, $length) == $length or return if $length;
        my $answer = $length ? $body : "$ENV{GREETING} $method $path";
        printf $client "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%s\r\n%s",
            length $answer, $close ? "Connection: close\r\n" : '', $answer;
        return if $close;
    }
}
