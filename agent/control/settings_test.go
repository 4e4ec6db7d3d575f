package control

import (
	"strings"
	"testing"
	"time"
)

// testCA is self-signed, and of no other use.
const testCA = `-----BEGIN CERTIFICATE-----
MIIBcTCCARegAwIBAgIUQlVVrb0g1XFGDoSV3icufogl6vMwCgYIKoZIzj0EAwIw
DTELMAkGA1UEAwwCY2EwIBcNMjYxMTIwMjAxOTAwWhgPMjEyNjEwMjcyMDE5MDBa
MA0xCzAJBgNVBAMMAmNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE467R+xYS
QH5q2UN8lZfvi4kP4bJiKDdAfoft9HuN60M+9S3XlvoNyE3UWd+2PvYjkhE6vZDv
+slr1XStAQJNDKNTMFEwHQYDVR0OBBYEFH/RQYj/7aKG6xDGu/UDO0f7y/rhMB8G
A1UdIwQYMBaAFH/RQYj/7aKG6xDGu/UDO0f7y/rhMA8GA1UdEwEB/wQFMAMBAf8w
CgYIKoZIzj0EAwIDSAAwRQIhAJwsEIaqjeLvUgJrySc0FIo0MYhXm8jtPKisjWOP
YI8rAiA8y/5bwuic7xoijs9kWYMOMIkjGL2TymIAn86sXP54cg==
-----END CERTIFICATE-----
`

func environment(change map[string]string) func(string) string {
	env := map[string]string{
		"AGENT_MANAGER": "10.96.3.4:443", "AGENT_SERVER_NAME": "m", "AGENT_CA": testCA,
		"AGENT_TOKEN": "t", "AGENT_POD": "p", "AGENT_POD_UID": "u", "AGENT_NAMESPACE": "n",
		"AGENT_POD_IPS": "10.1.2.3, fd00::3",
	}
	for k, v := range change {
		env[k] = v
	}
	return func(name string) string { return env[name] }
}

func TestSettings(t *testing.T) {
	s, err := SettingsFrom(environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.PodAddrs) != 2 || s.PodAddrs[1].String() != "fd00::3" {
		t.Errorf("pod addresses %v", s.PodAddrs)
	}
	sidecar, err := SettingsFrom(environment(map[string]string{"AGENT_TOKEN": "", "AGENT_TOKEN_FILE": "/token"}))
	if err != nil || sidecar.TokenFile != "/token" || sidecar.Token != "" {
		t.Errorf("with a token file: %+v, %v", sidecar, err)
	}
	for _, c := range []struct{ name, value, want string }{
		{"AGENT_MANAGER", "", "AGENT_MANAGER is not set"},
		{"AGENT_MANAGER", "host", `AGENT_MANAGER: "host" is not host:port`},
		{"AGENT_MANAGER", "host:0", `AGENT_MANAGER: "host:0" is not host:port`},
		{"AGENT_SERVER_NAME", "", "AGENT_SERVER_NAME is not set"},
		{"AGENT_CA", "", "AGENT_CA is not set"},
		{"AGENT_CA", "x", "AGENT_CA holds no PEM certificate"},
		{"AGENT_TOKEN", "", "AGENT_TOKEN is not set"},
		{"AGENT_POD", "", "AGENT_POD is not set"},
		{"AGENT_POD_UID", "", "AGENT_POD_UID is not set"},
		{"AGENT_NAMESPACE", "", "AGENT_NAMESPACE is not set"},
		{"AGENT_POD_IPS", "10.1.2", `AGENT_POD_IPS: "10.1.2" is not an IP address`},
		{"AGENT_LOG_LEVEL", "loud", `AGENT_LOG_LEVEL: "loud" is none of debug, info, warn, error`},
	} {
		_, err := SettingsFrom(environment(map[string]string{c.name: c.value}))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s=%q: %v, want %q", c.name, c.value, err, c.want)
		}
	}
	_, err = SettingsFrom(func(string) string { return "" })
	if n := strings.Count(err.Error(), "is not set"); n != 7 {
		t.Errorf("%d variables are named, want all 7: %v", n, err)
	}
}

func TestBackOff(t *testing.T) {
	for n, want := range []time.Duration{200, 400, 800, 1600, 3200, 5000, 5000} {
		want *= time.Millisecond
		for range 100 {
			if d := backOff(n); d < want/2 || d > want {
				t.Fatalf("backOff(%d) = %v, want %v…%v", n, d, want/2, want)
			}
		}
	}
	if d := backOff(1000); d > lastPause {
		t.Error(d)
	}
}
