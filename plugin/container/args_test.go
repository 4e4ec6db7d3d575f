package container

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseArgs(t *testing.T) {
	for line, want := range map[string]Args{
		"quote":                             {Image: "quote"},
		"-it --rm quote:dev -it --name x":   {Image: "quote:dev"},
		"-e A=b -ti -v /a:/b --name n i sh": {Image: "i", Name: "n"},
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
	plain, inside, err := SplitPorts([]string{"8080", "8080:http", "8080:3000:http", "53:5353:dns/udp"})
	if err != nil || !reflect.DeepEqual(plain, []string{"8080", "8080:http", "8080:http", "53:dns/udp"}) || !reflect.DeepEqual(inside, []int32{0, 0, 3000, 5353}) {
		t.Errorf("%q, %d, %v", plain, inside, err)
	}
	for _, bad := range []string{"8080:0:http", "8080:65536:http"} {
		if _, _, err := SplitPorts([]string{bad}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
