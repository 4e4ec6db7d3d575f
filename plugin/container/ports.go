package container

import (
	"fmt"
	"regexp"
	"strconv"
)

// three is LOCAL:CONTAINER:SVCPORT[/PROTO].
var three = regexp.MustCompile(`^(\d+):(\d+):(.+)$`)

// SplitPorts takes the ports of the container out of values of --port of the form
// LOCAL:CONTAINER:SVCPORT[/PROTO]. What is left is LOCAL:SVCPORT[/PROTO]. Inside has 0 for a
// value without one.
func SplitPorts(flags []string) (plain []string, inside []int32, err error) {
	for _, f := range flags {
		m := three.FindStringSubmatch(f)
		if m == nil {
			plain, inside = append(plain, f), append(inside, 0)
			continue
		}
		n, err := strconv.ParseUint(m[2], 10, 16)
		if err != nil || n == 0 {
			return nil, nil, fmt.Errorf("--port %q: the container's port %q is not a number from 1 to 65535", f, m[2])
		}
		plain, inside = append(plain, m[1]+":"+m[3]), append(inside, int32(n))
	}
	return plain, inside, nil
}
