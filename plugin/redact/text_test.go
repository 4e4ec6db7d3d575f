package redact

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		// What stays.
		"time=2026-11-29T10:00:00Z level=INFO msg=connected transport=service-proxy": "time=2026-11-29T10:00:00Z level=INFO msg=connected transport=service-proxy",
		"secretName: quote-tls, tokenFile=/var/run/token, secretKeyRef: x":           "secretName: quote-tls, tokenFile=/var/run/token, secretKeyRef: x",
		"pod quote-7f9c-abcde is ready, 3 tokens left":                               "pod quote-7f9c-abcde is ready, 3 tokens left",
		"basic authentication is not there; a bearer of good news":                   "basic authentication is not there; a bearer of good news",
		"GET http://quote.shop:80/ from 10.1.2.3:4567":                               "GET http://quote.shop:80/ from 10.1.2.3:4567",
		`header("x-user") is there`:                                                  `header("x-user") is there`,
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----":               "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",

		// Headers.
		"Authorization: Bearer abc.def":                             "Authorization: <redacted>",
		`msg="sent" header="Authorization: Basic dXNlcjpwYXNz" n=1`: `msg="sent" header="Authorization: <redacted>" n=1`,
		"map[Accept:[*/*] Authorization:[Bearer PLANTED] Host:[x]]": "map[Accept:[*/*] Authorization:[<redacted>] Host:[x]]",
		`{"authorization":"Bearer PLANTED","n":1}`:                  `{"authorization":"<redacted>","n":1}`,
		`msg="got \"Cookie: a=PLANTED; b=PLANTED\" back"`:           `msg="got \"Cookie: <redacted>\" back"`,
		"set-cookie: session=PLANTED; Path=/":                       "set-cookie: <redacted>",
		"X-Api-Key: PLANTED":                                        "X-Api-Key: <redacted>",
		"curl -H 'x-user: PLANTED' http://quote.shop:80/":           "curl -H 'x-user: <redacted>' http://quote.shop:80/",
		"sends bearer PLANTED1 with it":                             "sends bearer <redacted> with it",

		// Names with values.
		"password=PLANTED ok=1":                     "password=<redacted> ok=1",
		`password="PLAN TED" ok=1`:                  `password="<redacted>" ok=1`,
		`msg="env DB_PASSWORD=\"PLAN TED\" is set"`: `msg="env DB_PASSWORD=<redacted> is set"`,
		`{"client_secret": "PLANTED", "a": 1}`:      `{"client_secret": <redacted>, "a": 1}`,
		"aws_secret_access_key: PLANTED":            "aws_secret_access_key: <redacted>",
		"ACCESS-KEY='PLANTED'":                      "ACCESS-KEY=<redacted>",
		"app --db-password PLANTED --verbose":       "app --db-password <redacted> --verbose",
		"app --token-file /run/token":               "app --token-file /run/token",
		"GET /x?access_token=PLANTED&n=1":           "GET /x?access_token=<redacted>&n=1",
		"secretName= password=PLANTED":              "secretName= password=<redacted>",
		"client-key-data: UExBTlRFRA==":             "client-key-data: <redacted>",
		"tokens=[PLANTED PLANTED] n=1":              "tokens=<redacted> n=1",

		// Secrets by their looks.
		"postgres://app:PLANTED@db:5432/x":                                              "postgres://<redacted>@db:5432/x",
		"redis://:PLAN/TED@cache":                                                       "redis://<redacted>@cache",
		"got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl":                         "got <redacted>",
		"got ghp_0123456789abcdefghij and AKIAIOSFODNN7EXAMPLE":                         "got <redacted> and <redacted>",
		"a\n-----BEGIN RSA PRIVATE KEY-----\nPLANTED\n-----END RSA PRIVATE KEY-----\nb": "a\n<redacted>\nb",
		"cut off -----BEGIN PRIVATE KEY-----\nPLANTED":                                  "cut off <redacted>",

		// What intercepts match on.
		`header("x-user") ~= regexp("PLANTED") and path prefix "/api"`:     `header("x-user") ~= regexp("<redacted>") and path prefix "/api"`,
		`msg="no request meets header(\"x-user\") ~= regexp(\"PLANTED\")"`: `msg="no request meets header(\"x-user\") ~= regexp(\"<redacted>\")"`,
		"add quote --match x-user=PLANTED --port 80":                       "add quote --match x-user=<redacted> --port 80",
	} {
		got := Text(text)
		if got != want && !(strings.Contains(want, `"<redacted>"`) && got == strings.ReplaceAll(want, `"<redacted>"`, Mark)) {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
		if strings.Contains(got, "PLANTED") || strings.Contains(got, "PLAN") {
			t.Errorf("%q becomes %q, with what was planted", text, got)
		}
		if again := Text(got); again != got {
			t.Errorf("%q, done again, becomes %q", got, again)
		}
	}
}

func TestSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"DATABASE_PASSWORD": true, "apiKey": true, "token": true, "passwordHash": true, "Cookie": true, "X-Auth-Token": true, "private_key": true,
		"secretName": false, "tokenExpirationSeconds": false, "imagePullSecrets": true, "PORT": false, "secretKeyRef": false, "keyboard": false,
	} {
		if Secret(name) != want {
			t.Errorf("Secret(%q) is %v", name, !want)
		}
	}
}

// FuzzText checks that a secret does not come through in any surroundings, and that nothing
// of it is done twice.
func FuzzText(f *testing.F) {
	f.Add("before", "after")
	f.Add(`msg="`, `" n=1`)
	f.Add("[", "]")
	f.Add("-----BEGIN PRIVATE KEY-----", "\n")
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.Contains(before+after, "Zx81Planted") {
			return
		}
		for _, form := range []string{" password=Zx81Planted ", "\nAuthorization: Bearer Zx81Planted\n", " https://u:Zx81Planted@host/ "} {
			if got := Text(before + form + after); strings.Contains(got, "Zx81Planted") {
				t.Errorf("%q becomes %q", before+form+after, got)
			}
		}
	})
}
