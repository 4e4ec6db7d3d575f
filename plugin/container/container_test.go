package container

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
)

func TestLine(t *testing.T) {
	dns := &DNS{Server: netip.MustParseAddr("198.18.0.2"), Search: []string{"shop.svc.cluster.local", "svc.cluster.local"}}
	const begin = "run --rm --cidfile /d/id --name intercept-quote --label a=b "
	for name, tt := range map[string]struct {
		args, env, want string
		dns             *DNS
	}{
		"alone":       {"quote:dev serve", "", begin + "--publish 127.0.0.1:8080:80/tcp --publish [::1]:53:5353/udp quote:dev serve", nil},
		"environment": {"i", "/d/environment", begin + "--env-file /d/environment --env KEY --publish 127.0.0.1:8080:80/tcp --publish [::1]:53:5353/udp i", nil},
		"connected": {"-it i", "", begin + "--publish 127.0.0.1:8080:80/tcp --publish [::1]:53:5353/udp --dns 198.18.0.2 " +
			"--dns-search shop.svc.cluster.local --dns-search svc.cluster.local --dns-option ndots:5 -it i", dns},
		"the user publishes":    {"-p 127.0.0.1:8080:9 -p 53:1 i", "", begin + "--publish [::1]:53:5353/udp -p 127.0.0.1:8080:9 -p 53:1 i", nil},
		"at an address":         {"-p [::1]:8080:9 -p [::1]:53:1/udp i", "", begin + "--publish 127.0.0.1:8080:80/tcp -p [::1]:8080:9 -p [::1]:53:1/udp i", nil},
		"the machine's network": {"--network host i", "", begin + "--network host i", dns},
		"another's network":     {"--net=container:x i", "", begin + "--net=container:x i", dns},
		"a network":             {"--network shop i", "", begin + "--publish 127.0.0.1:8080:80/tcp --publish [::1]:53:5353/udp --network shop i", nil},
		"a name":                {"--name mine --network none i", "", "run --rm --cidfile /d/id --label a=b --name mine --network none i", nil},
	} {
		args, err := ParseArgs(strings.Fields(tt.args))
		if err != nil {
			t.Fatal(err)
		}
		c := Container{Args: args, Name: "intercept-quote", Labels: []string{"a=b"}, DNS: tt.dns,
			Ports: []Port{{"127.0.0.1", 8080, 80, "tcp"}, {"::1", 53, 5353, "udp"}}}
		var passed []string
		if tt.env != "" {
			passed = []string{"KEY"}
		}
		if got := strings.Join(c.line("/d/id", tt.env, passed), " "); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tt.want)
		}
	}
}

// A value with line breaks comes through the environment of the engine's program, unless that
// program would go by it.
func TestSplit(t *testing.T) {
	t.Setenv("HERE", "this machine's")
	c := Container{Environment: environment.Environment{{Name: "A", Value: `b "c"`}, {Name: "KEY", Value: "1\n2"},
		{Name: "DOCKER_HOST", Value: "x\ny"}, {Name: "https_proxy", Value: "x\ny"}, {Name: "HERE", Value: "x\ny"}, {Name: "N M", Value: "x"},
		{Name: "LONG", Value: strings.Repeat("x", 65<<10)}}}
	text, passed, left := c.split()
	var names []string
	for _, l := range left {
		names = append(names, l.Name)
	}
	if string(text) != "A=b \"c\"\n" || len(passed) != 1 || passed[0] != (environment.Variable{Name: "KEY", Value: "1\n2"}) ||
		!slices.Equal(names, []string{"DOCKER_HOST", "https_proxy", "HERE", "N M", "LONG"}) {
		t.Errorf("%q, %d passed, left %q", text, len(passed), names)
	}
}

// Addresses that no engine of this machine can publish at are named, each once.
func TestElsewhere(t *testing.T) {
	ports := []Port{{"127.0.0.1", 8080, 80, "tcp"}, {"::1", 53, 5353, "udp"}, {"192.0.2.7", 80, 80, "tcp"}, {"192.0.2.7", 81, 80, "tcp"}, {"2001:db8::7", 80, 80, "tcp"}}
	for line, want := range map[string][]string{
		"i":                       {"192.0.2.7", "2001:db8::7"},
		"-p 192.0.2.7:80:80 -i i": {"192.0.2.7", "2001:db8::7"},
		"--network host i":        nil,
	} {
		args, err := ParseArgs(strings.Fields(line))
		if err != nil {
			t.Fatal(err)
		}
		if got := (&Container{Args: args, Ports: ports}).Elsewhere(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// The workload's volumes are at their own paths, except where the user mounts something.
func TestVolumes(t *testing.T) {
	args, err := ParseArgs(strings.Fields("--network none -v /d:/cache:ro --mount=type=bind,src=/d,dst=/etc/quote/ --tmpfs /data i"))
	if err != nil {
		t.Fatal(err)
	}
	c := Container{Args: args, Name: "n"}
	for _, path := range []string{"/cache", "/etc/quote", "/data", "/etc", "/etc/quote/more", "/a,b"} {
		c.Volumes = append(c.Volumes, Volume{"/root" + path, path})
	}
	got := strings.Join(c.line("/d/id", "", nil), " ")
	want := `run --rm --cidfile /d/id --name n --mount type=bind,source=/root/etc,target=/etc --mount type=bind,source=/root/etc/quote/more,target=/etc/quote/more --mount type=bind,"source=/root/a,b","target=/a,b" ` +
		"--network none -v /d:/cache:ro --mount=type=bind,src=/d,dst=/etc/quote/ --tmpfs /data i"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
