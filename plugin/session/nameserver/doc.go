// Package nameserver is the session's name server: programs on the laptop get
// the cluster's names from it as a pod would, and all other names from the
// resolvers that the laptop had before.
//
// The story of a query. It comes as a UDP datagram or on a TCP connection, both
// from listeners that the caller made (in a session: on the TUN's netstack).
// The wire form is read in place: no query that cannot be read goes further
// than FORMERR, nor one that is not for data of the Internet class (REFUSED) or
// not a query at all (NOTIMP; answers and fragments get nothing). If its
// answer is known, the stored packet is copied, gets the query's number and
// spelling, its TTLs are counted down, and it is sent: that path does not
// allocate.
//
// Otherwise the query joins the flight that is under way for the same question,
// or starts one. Where a question goes is decided by its name alone:
//
//   - a mapping wins: the answer is its address, or an alias and the answer for
//     the other name;
//   - then the longest of the include and exclude suffixes, which say cluster
//     or laptop;
//   - names below the cluster's domain and below "svc", and PTR of addresses in
//     the cluster's networks, are the cluster's, whatever it answers;
//   - short names may be the cluster's: NAME (in the connected namespace, then
//     in those with intercepts), NAME.NAMESPACE and POD.SERVICE.NAMESPACE of
//     namespaces that exist, and the same behind _PORT._PROTOCOL. The cluster
//     is asked for the full name, for all of them at once. If it says that there
//     is no such name, the short name is one of the world outside after all, as
//     it would be for a pod (a namespace may be called "dev"), and the laptop's
//     resolvers are asked. What they say holds no longer than the cluster's "no",
//     and if they fail for a name without a dot, that "no" is the answer;
//   - everything else is the laptop's and never goes to the cluster.
//
// Answers carry the name that was asked: records of the full name are renamed,
// not put behind a CNAME, so that `nslookup kubernetes.default` says what it
// says in a pod, and because each of glibc, musl, Go and systemd-resolved takes
// them (musl looks at no owner, the others want the question's). The SOA of a
// negative answer is renamed, too, or systemd-resolved would not keep it.
//
// A cluster with addresses of both families is asked for A and AAAA together,
// whichever came: the other is there when it is asked for. A name that has one of
// them exists for the other, so that an IPv4-only cluster answers AAAA with
// nothing rather than NXDOMAIN, whatever its name server says.
// Together with the first name that a stub resolver makes from a dotted one with
// the search list, the others are asked for: with a pod's ndots these come
// before each name of the world.
// Answers are kept as long as their TTLs say, negative ones as their SOA says
// (RFC 2308), those with a TTL of zero or without an SOA not at all, within a
// bound of entries and bytes. An Exchanger that fails, because there is no
// carrier, is SERVFAIL at once, with the reason as an extended error (RFC 8914).
// One that stays silent gets little time from then on, until it answers again.
//
// The laptop's resolvers are asked in their order, each from a new port with a
// random number and a random spelling that the answer has to repeat (the 0x20
// bits); the next one joins in when one is slow. Truncated answers are fetched
// by TCP.
//
// Queries must not go round, although the laptop's resolver may be this server,
// and on a laptop that hosts the cluster the cluster's name server asks the
// laptop for what it does not know. The random spelling is the mark: a query
// that comes in exactly as one that is out is that one. If the cluster was asked,
// it wants to know from the laptop, so its query is answered by the laptop's
// resolvers. If they were asked, the answer is REFUSED, and the next one of them
// is tried. Resolvers on the way that change the spelling cannot make a storm
// either: the query joins its own flight, which then ends as any other that
// gets no answer.
package nameserver
