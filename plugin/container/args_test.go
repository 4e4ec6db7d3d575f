package container

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseArgs(t *testing.T) {
	for line, want := range map[string]Args{
		"quote":                             {Image: "quote"},
		"-it --rm quote:dev -it --name x":   {Image: "quote:dev"},
		"-e A=b -ti -v /a:/b --name n i sh": {Image: "i", Name: "n", Volumes: []string{"/a:/b"}},
		"-itp 81:80 --publish=82:80 i":      {Image: "i", Publish: []string{"81:80", "82:80"}},
		"--net host --pull=never i":         {Image: "i", Network: "host", Pull: "never"},
		"--network=none -p80:80 i":          {Image: "i", Network: "none", Publish: []string{"80:80"}},
		"--platform linux/arm64 --init i":   {Image: "i", Platform: "linux/arm64"},
		"-h name --cpus 2 -- i --detach":    {Image: "i"},
	} {
		want.Line = strings.Fields(line)
		got, err := ParseArgs(want.Line)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v", line, got, err)
		}
	}
	for line, want := range map[string]string{
		"":                     "which image?",
		"-it":                  "which image?",
		"-p":                   "-p: its value is missing",
		"-itd i":               "-itd: the container ends with this command",
		"--detach i":           "--detach: the container",
		"--cidfile=f i":        "--cidfile=f: this command",
		"--cidfile f i":        "--cidfile: this command",
		"--rm --help":          "--help: see",
		"--network host --env": "--env: its value is missing",
	} {
		if _, err := ParseArgs(strings.Fields(line)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

func TestSplitPorts(t *testing.T) {
	for flag, want := range map[string]struct {
		plain  string
		inside int32
	}{
		"8080":                           {"8080", 0},
		"8080:http":                      {"8080:http", 0},
		"8080:80/tcp":                    {"8080:80/tcp", 0},
		"8080:3000:http":                 {"8080:http", 3000},
		"53:5353:dns/udp":                {"53:dns/udp", 5353},
		"192.0.2.7:8080":                 {"192.0.2.7:8080", 0},
		"192.0.2.7:8080:80":              {"192.0.2.7:8080:80", 0},
		"192.0.2.7:8080:3000:http":       {"192.0.2.7:8080:http", 3000},
		"localhost:8080:80":              {"localhost:8080:80", 0},
		"localhost:8080:3000:80/tcp":     {"localhost:8080:80/tcp", 3000},
		"[::1]:8080:http":                {"[::1]:8080:http", 0},
		"[::ffff:192.0.2.7]:53:5353:dns": {"[::ffff:192.0.2.7]:53:dns", 5353},
		"::1:8080:3000:http":             {"::1:8080:3000:http", 0}, // which is refused later
		"[2001:db8::7]:53:5353:80/udp":   {"[2001:db8::7]:53:80/udp", 5353},
	} {
		plain, inside, err := SplitPorts([]string{flag, "9090"})
		if err != nil || !slices.Equal(plain, []string{want.plain, "9090"}) || !slices.Equal(inside, []int32{want.inside, 0}) {
			t.Errorf("%s: %q, %d, %v", flag, plain, inside, err)
		}
	}
	for _, bad := range []string{"8080:0:http", "8080:65536:http", "[::1]:8080:0:http"} {
		if _, _, err := SplitPorts([]string{bad}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
