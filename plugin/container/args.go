package container

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Args are what follows `docker run`: flags, the image, and the command in it.
type Args struct {
	// Line is all of it.
	Line []string
	// Image is the name of the image.
	Image string
	// Name, Network, Pull and Platform are values of flags; "" if they were not typed.
	Name, Network, Pull, Platform string
	// Publish are the values of -p, and Volumes those of -v, --mount and --tmpfs.
	Publish, Volumes []string
}

// switches are the flags of `run` that have no value, of all engines.
var switches = [...]string{
	"interactive", "tty", "rm", "init", "privileged", "publish-all", "read-only", "no-healthcheck", "oom-kill-disable",
	"disable-content-trust", "sig-proxy", "no-hosts", "no-hostname", "quiet", "replace", "rmi", "tls-verify", "env-host",
	"http-proxy", "rootfs", "unsetenv-all", "use-api-socket", "help",
}

// short are the long names of flags of one letter.
var short = map[byte]string{'i': "interactive", 't': "tty", 'P': "publish-all", 'q': "quiet", 'd': "detach",
	'p': "publish", 'e': "env", 'v': "volume", 'w': "workdir", 'u': "user", 'm': "memory", 'c': "cpu-shares", 'l': "label", 'a': "attach", 'h': "hostname"}

// kept are flags that this program sets, or whose effect it cannot do without.
var kept = map[string]string{
	"detach":  "the container ends with this command, which waits for it: leave the flag out",
	"cidfile": "this command has one itself: leave the flag out",
	"help":    "see kubectl intercept add --help, and the help of the engine's own run",
}

// ParseArgs finds the image among arguments of `docker run`.
func ParseArgs(line []string) (*Args, error) {
	a := &Args{Line: line}
	for n := 0; n < len(line); n++ {
		word := line[n]
		if word == "--" && n+1 < len(line) {
			word = line[n+1]
		} else if strings.HasPrefix(word, "-") && word != "-" {
			name, value, whole := flag(word)
			if !whole && !slices.Contains(switches[:], name) && kept[name] == "" {
				if n++; n == len(line) {
					return nil, fmt.Errorf("%s: its value is missing, and so is the image", word)
				}
				value = line[n]
			}
			if why := kept[name]; why != "" && value != "false" {
				return nil, fmt.Errorf("%s: %s", word, why)
			}
			a.set(name, value)
			continue
		}
		a.Image = word
		return a, nil
	}
	return nil, errors.New("which image? It goes after --docker-run --, for example kubectl intercept add deploy/quote --port 8080 --docker-run -- quote:dev")
}

// flag reads one argument: the long name of the flag, its value, and whether the next
// argument is no value of it.
func flag(word string) (name, value string, whole bool) {
	if long, ok := strings.CutPrefix(word, "--"); ok {
		name, value, whole = strings.Cut(long, "=")
		if name == "net" {
			name = "network"
		}
		return name, value, whole
	}
	for k := 1; k < len(word); k++ { // -itp 80:80
		if name = short[word[k]]; name == "detach" || name == "interactive" || name == "tty" || name == "publish-all" || name == "quiet" {
			if name == "detach" {
				return name, "", true
			}
			continue
		}
		if name == "" {
			name = word[k : k+1]
		}
		value = strings.TrimPrefix(word[k+1:], "=")
		return name, value, k+1 < len(word)
	}
	return name, "", true
}

func (a *Args) set(name, value string) {
	switch name {
	case "name":
		a.Name = value
	case "network":
		a.Network = value
	case "pull":
		a.Pull = value
	case "platform":
		a.Platform = value
	case "publish":
		a.Publish = append(a.Publish, value)
	case "volume", "mount", "tmpfs":
		a.Volumes = append(a.Volumes, value)
	}
}

// ownNetwork says that the container has a network of its own, into which ports are
// published.
func (a *Args) ownNetwork() bool {
	kind, _, _ := strings.Cut(a.Network, ":")
	return !slices.Contains([]string{"host", "none", "container", "ns"}, kind)
}

// publishes says that the user publishes at the local address of a port.
func (a *Args) publishes(p Port) bool {
	return slices.ContainsFunc(a.Publish, func(value string) bool {
		of, protocol, found := strings.Cut(value, "/")
		if !found {
			protocol = "tcp"
		}
		parts := strings.Split(of, ":") // [HOST:]LOCAL:CONTAINER, and an IPv6 address is in brackets
		n := len(parts) - 2
		if n < 0 || parts[n] != fmt.Sprint(p.Local) || !strings.EqualFold(protocol, p.Protocol) {
			return false
		}
		host := strings.Trim(strings.Join(parts[:n], ":"), "[]")
		return slices.Contains([]string{"", "0.0.0.0", "::", p.Host}, host)
	})
}

// mounts says that the user mounts something at a path of the container.
func (a *Args) mounts(path string) bool {
	return slices.ContainsFunc(a.Volumes, func(value string) bool {
		// -v SOURCE:PATH:ro, --tmpfs PATH:size=1m, --mount type=bind,source=SOURCE,target=PATH
		parts := strings.FieldsFunc(value, func(c rune) bool { return c == ':' || c == ',' || c == '=' })
		return slices.ContainsFunc(parts, func(part string) bool { return part != "/" && strings.TrimRight(part, "/") == path })
	})
}
