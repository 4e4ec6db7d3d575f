package container

import (
	"fmt"
	"regexp"
	"strconv"
)

// three is [HOST:]LOCAL:CONTAINER:SVCPORT[/PROTO]. A host is an IP address or localhost, and an
// IPv6 address is in brackets.
var three = regexp.MustCompile(`^((?:\[[^\]]*\]|[^:\[\]]*[^:\[\]0-9][^:\[\]]*):)?(\d+):(\d+):(.+)$`)

// SplitPorts takes the ports of the container out of values of --port of the form
// [HOST:]LOCAL:CONTAINER:SVCPORT[/PROTO]. What is left is [HOST:]LOCAL:SVCPORT[/PROTO]. Inside
// has 0 for a value without one.
func SplitPorts(flags []string) (plain []string, inside []int32, err error) {
	for _, f := range flags {
		m := three.FindStringSubmatch(f)
		if m == nil {
			plain, inside = append(plain, f), append(inside, 0)
			continue
		}
		n, err := strconv.ParseUint(m[3], 10, 16)
		if err != nil || n == 0 {
			return nil, nil, fmt.Errorf("--port %q: the container's port %q is not a number from 1 to 65535", f, m[3])
		}
		plain, inside = append(plain, m[1]+m[2]+":"+m[4]), append(inside, int32(n))
	}
	return plain, inside, nil
}
