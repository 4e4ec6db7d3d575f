package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Identity is with which rights files are opened.
type Identity struct {
	UID, GID uint32
	Groups   []uint32
	// Caps are the effective capabilities, as bits.
	Caps uint64
}

// ReadIdentity reads the identity of a process from its /proc/PID/status.
func ReadIdentity(status io.Reader) (Identity, error) {
	var id Identity
	seen := 0
	for lines := bufio.NewScanner(status); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		fields := strings.Fields(value)
		var err error
		switch key {
		case "Uid":
			id.UID, err = last(fields)
		case "Gid":
			id.GID, err = last(fields)
		case "Groups":
			for _, f := range fields {
				var g uint32
				if g, err = last([]string{f}); err != nil {
					break
				}
				id.Groups = append(id.Groups, g)
			}
		case "CapEff":
			id.Caps, err = strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		default:
			continue
		}
		if err != nil {
			return id, fmt.Errorf("read the status of a process: %s: %w", key, err)
		}
		seen++
	}
	if seen != 4 {
		return id, errors.New("read the status of a process: it has no Uid, Gid, Groups or CapEff")
	}
	return id, nil
}

// last reads the last of the numbers, which is the one for files.
func last(fields []string) (uint32, error) {
	if len(fields) == 0 {
		return 0, errors.New("there is no number")
	}
	n, err := strconv.ParseUint(fields[len(fields)-1], 10, 32)
	return uint32(n), err
}
