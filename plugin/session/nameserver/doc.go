// Package nameserver is the DNS server behind the TUN: programs on the laptop get
// the cluster's names from it as a pod would, and all other names from the
// resolvers that the laptop had before.
//
// A query comes as a UDP datagram or on a TCP connection. Package wire reads it
// without unpacking it. A query that cannot be read gets FORMERR, one that is not for data of the
// Internet class REFUSED, one of another opcode NOTIMP; answers and fragments get
// nothing. If the answer is in the cache, it is sent with the query's ID and
// spelling and with its TTLs counted down. That does not allocate.
//
// Otherwise the query waits for the lookup of the same question that is under way,
// or starts one. Package names decides who answers, by the name alone. For a short
// name, the cluster is asked for all the full names that it may stand for at once.
// If the cluster knows none of them, the laptop's resolvers are asked. Their answer
// holds no longer than the cluster's denial; if they fail for a name without a dot,
// the denial is the answer.
//
// Records of a full name get the name that was asked for. There is no CNAME in
// between, so that `nslookup kubernetes.default` says what it says in a pod, and
// because glibc, musl, Go and systemd-resolved all accept it: musl does not look at
// the owner of a record, the others want the question's name. The SOA of a negative
// answer is renamed as well, as systemd-resolved does not cache it otherwise.
//
// A cluster with addresses of both families is asked for A and AAAA together: the
// second answer is there when a program asks for it. A name with addresses of one
// family exists for the other as well: an IPv4-only cluster answers AAAA with no
// records and not with NXDOMAIN, whatever its own name server says.
//
// A stub resolver makes several names from a dotted one with the search list, and
// with a pod's ndots it asks for these before each name of the world. When the first
// of them comes, all are looked up.
//
// Answers are cached for as long as their TTLs say, negative ones as their SOA says
// (RFC 2308), within a bound of entries and bytes. Those with a TTL of zero or
// without an SOA are not cached. If the Exchanger fails, because there is no
// carrier, the answer is SERVFAIL at once, with the reason as an extended error
// (RFC 8914). A cluster that does not answer gets little time from then on, until it
// answers again.
//
// Package laptopdns asks the laptop's resolvers in their order. If one is slow, the
// next one is asked as well. Truncated answers are fetched by TCP.
//
// Queries must not loop. The laptop's resolver may be this server. And on a laptop
// that hosts the cluster, the cluster's name server asks the laptop for what it does
// not know. Package spelling marks each query that is sent: a query that comes in
// with the same spelling is that query. If it was sent to the cluster, the cluster
// asks back, and the laptop's resolvers answer. If it was sent to the laptop's
// resolvers, it is REFUSED, and the next resolver is tried. A resolver that changes
// the spelling cannot start a storm either: the query waits for its own lookup,
// which then ends as any other without an answer.
package nameserver
