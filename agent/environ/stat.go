package environ

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// stat is a part of /proc/PID/stat.
type stat struct {
	state byte
	// parent is 0 if it is in no PID namespace that the agent sees.
	parent int
	// began is in ticks since the machine started.
	began uint64
	// args and env are where the process has got them in its memory.
	args, env area
}

// area is from an address up to another. Both are 0 if the agent may not know.
type area struct{ from, to uint64 }

func (a area) size() uint64 { return a.to - a.from }

func (p Proc) stat(pid int) (stat, error) {
	b, err := os.ReadFile(p.file(pid, "stat"))
	if ended(err) {
		return stat{}, errGone
	} else if err != nil {
		return stat{}, fmt.Errorf("read the state of process %d: %w", pid, err)
	}
	return parseStat(b)
}

// parseStat reads the fields of proc(5) by their numbers. Field 2, the name of the program,
// may itself have spaces and brackets.
func parseStat(b []byte) (s stat, err error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	field := func(n int) uint64 {
		if n-3 >= len(fields) {
			return 0 // of an older kernel
		}
		v, perr := strconv.ParseUint(string(fields[n-3]), 10, 64)
		if perr != nil {
			err = fmt.Errorf("read the state of a process: field %d is %q", n, fields[n-3])
		}
		return v
	}
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("read the state of a process: %q", b)
	}
	s = stat{state: fields[0][0], parent: int(field(4)), began: field(22), args: area{field(48), field(49)}, env: area{field(50), field(51)}}
	return s, err
}

// user is a part of /proc/PID/status.
type user struct {
	uid, gid uint32
	groups   []uint32
}

func (p Proc) user(pid int) (user, error) {
	b, err := os.ReadFile(p.file(pid, "status"))
	if ended(err) {
		return user{}, errGone
	} else if err != nil {
		return user{}, fmt.Errorf("read the user of process %d: %w", pid, err)
	}
	return parseUser(b)
}

// parseUser reads the IDs that decide about files. They are the last of the four IDs of a
// process: real, effective, saved, of the file system.
func parseUser(b []byte) (u user, err error) {
	var seen int
	for line := range strings.Lines(string(b)) {
		key, rest, _ := strings.Cut(line, ":")
		if key != "Uid" && key != "Gid" && key != "Groups" {
			continue
		}
		var ids []uint32
		for _, text := range strings.Fields(rest) {
			id, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return user{}, fmt.Errorf("read the user of a process: %q", line)
			}
			ids = append(ids, uint32(id))
		}
		if key == "Groups" {
			u.groups = ids
			continue
		}
		if len(ids) != 4 {
			return user{}, fmt.Errorf("read the user of a process: %q", line)
		}
		seen++
		if key == "Uid" {
			u.uid = ids[3]
		} else {
			u.gid = ids[3]
		}
	}
	if seen != 2 {
		return user{}, fmt.Errorf("read the user of a process: %d of Uid and Gid", seen)
	}
	return u, nil
}
