# Listens on localhost and passes connections on: PORT=HOST:PORT ... Says `ready` when it listens.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::IP;

$SIG{CHLD} = 'IGNORE';
$| = 1;
my ($listening, %targets, @missing) = (IO::Select->new);
for my $forward (@ARGV) {
    my ($port, $target) = split /=/, $forward, 2;
    my $found = 0;
    for my $address ('127.0.0.1', '::1') {
        my $socket = IO::Socket::IP->new(
            LocalHost => $address, LocalPort => $port, Listen => 128, ReuseAddr => 1
        ) or next;
        $listening->add($socket);
        $targets{fileno $socket} = $target;
        $found = 1;
    }
    push @missing, $port unless $found;
}
print @missing ? "taken @missing\n" : "ready\n";
open STDOUT, '>', '/dev/null';
open STDERR, '>', '/dev/null';

while (1) {
    for my $socket ($listening->can_read) {
        my $client = $socket->accept or next;
        my $child = fork;
        next if !defined $child || $child;
        pass_on($client, IO::Socket::INET->new($targets{fileno $socket}));
        exit;
    }
}

sub pass_on {
    my ($client, $server) = @_;
    return unless $server;
    my %other = ($client => $server, $server => $client);
    my $open = IO::Select->new($client, $server);
    while ($open->count) {
        for my $from ($open->can_read) {
            my $to = $other{$from};
            if (sysread $from, my $data, 65536) {
                while (length $data) {
                    my $written = syswrite $to, $data;
                    return unless $written;
                    substr $data, 0, $written, '';
                }
            } else {
                $open->remove($from);
                shutdown $to, 1;
            }
        }
    }
}
