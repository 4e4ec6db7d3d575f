package volume

import (
	"path"
	"strings"
)

// RelativeLink returns where a symbolic link leads, relative to the folder that it is in, or
// false if it leads out of what is served, which the function served says of a path. Link is
// the absolute path of the link, without symbolic links in it.
//
// A target with ".." behind a name is refused: where it leads depends on other links.
func RelativeLink(link, target string, served func(string) bool) (string, bool) {
	if target == "" {
		return "", false
	}
	dir := path.Dir(link)
	if !path.IsAbs(target) {
		if ups, ok := leading(target); !ok || ups > depth(dir) || !served(path.Join(dir, target)) {
			return "", false
		}
		return target, true
	}
	if ups, ok := leading(strings.TrimLeft(target, "/")); !ok || ups > 0 || !served(path.Clean(target)) {
		return "", false
	}
	return path.Join(strings.Repeat("../", depth(dir)), path.Clean(target)), true
}

// Inside says that a relative target of a symbolic link stays below the folder "/", whatever
// other links there are.
func Inside(link, target string) bool {
	ups, ok := leading(target)
	return target != "" && !path.IsAbs(target) && ok && ups <= depth(path.Dir(link))
}

// leading counts the ".." with which a relative path begins. It is not ok if others follow
// later.
func leading(target string) (ups int, ok bool) {
	named := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if named {
				return 0, false
			}
			ups++
		default:
			named = true
		}
	}
	return ups, true
}

func depth(dir string) int {
	if dir = strings.Trim(path.Clean(dir), "/"); dir == "" || dir == "." {
		return 0
	}
	return strings.Count(dir, "/") + 1
}
