package route

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// EndConnections ends the connections from addresses that this machine had. No answer
// can arrive at such an address, and programs would wait until a time-out. It does not
// end connections from addresses that an interface still has, such as another session's.
func EndConnections(had []netip.Prefix) {
	have, _ := netlink.AddrList(nil, netlink.FAMILY_ALL)
	ResetConnections(func(from, _ netip.Addr) bool {
		return slices.ContainsFunc(had, func(p netip.Prefix) bool { return p.Addr() == from }) &&
			!slices.ContainsFunc(have, func(a netlink.Addr) bool { return prefix(a.IPNet, 0).Addr() == from })
	})
}

// ResetConnections ends all TCP connections and connected UDP sockets for which the
// function which returns true. The programs that use them see an error. It does nothing
// if the kernel cannot list or end sockets (CONFIG_INET_DIAG_DESTROY).
func ResetConnections(which func(from, to netip.Addr) bool) {
	for family, size := range map[byte]int{unix.AF_INET: 4, unix.AF_INET6: 16} {
		for _, protocol := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			head := []byte{family, protocol, 0, 0, 255, 255, 255, 255} // of all states
			for _, s := range diag(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP, append(head, make([]byte, 48)...)) {
				from, _ := netip.AddrFromSlice(s[8 : 8+size])
				to, _ := netip.AddrFromSlice(s[24 : 24+size])
				if !to.IsUnspecified() && which(from.Unmap(), to.Unmap()) {
					diag(nl.SOCK_DESTROY, unix.NLM_F_ACK, append(head, s[4:52]...))
				}
			}
		}
	}
}

// diag sends a request about sockets to the kernel, which is a struct inet_diag_req_v2
// of linux/inet_diag.h. Each answer is a struct inet_diag_msg. It identifies a socket
// in the same form as a request.
func diag(kind, flags int, request []byte) [][]byte {
	r := nl.NewNetlinkRequest(kind, flags)
	r.AddRawData(request)
	answers, _ := r.Execute(unix.NETLINK_INET_DIAG, 0)
	return answers
}
