package relay

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
)

// TrafficPath is where replicas ask each other, within TLS.
const TrafficPath = "/replicas/traffic"

const (
	// replicaTimeout bounds a question to another replica, which takes traffic.Interval to answer.
	replicaTimeout = 5 * time.Second
	// proofLife is when a replica's proof ends. The clocks of two nodes may differ by as much
	// again, in either direction.
	proofLife = time.Minute
	// maxTraffic bounds an answer.
	maxTraffic = 16 << 20
)

// Replicas asks other replicas. Whoever asks proves by a key that only replicas have, derived
// from the authority's Secret, and whoever answers by a certificate of the authority.
type Replicas struct {
	Authority *pki.Authority
	// ServerName is in the certificate of every replica; Port is where they serve HTTP.
	ServerName, Port string
}

// Traffic asks the replica at the host of an address what its sessions move.
func (p *Replicas) Traffic(ctx context.Context, address string) ([]traffic.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+net.JoinHostPort(host, p.Port)+TrafficPath, nil)
	if err != nil {
		return nil, err
	}
	proof, err := p.prove(time.Now())
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", "Bearer "+proof)
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: p.Authority.Pool(), ServerName: p.ServerName}}
	resp, err := t.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	var list []traffic.Entry
	err = json.NewDecoder(io.LimitReader(resp.Body, maxTraffic)).Decode(&list)
	return list, err
}

// Handler answers Traffic of other replicas.
func (p *Replicas) Handler(r *Relay) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		proof, _ := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
		if err := p.check(proof, time.Now()); err != nil || q.TLS == nil {
			http.Error(w, "this is for replicas of the traffic-manager", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(r.Traffic(q.Context())) // an error means that nobody listens
	})
}

// prove returns a proof that its holder is a replica.
func (p *Replicas) prove(now time.Time) (string, error) {
	expiry := strconv.FormatInt(now.Add(proofLife).Unix(), 10)
	mac, err := p.mac(expiry)
	return expiry + "." + base64.RawURLEncoding.EncodeToString(mac), err
}

var errProof = errors.New("no proof of a replica")

func (p *Replicas) check(proof string, now time.Time) error {
	expiry, text, _ := strings.Cut(proof, ".")
	given, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return errProof
	}
	want, err := p.mac(expiry)
	if err != nil || !hmac.Equal(given, want) {
		return errProof
	}
	if until, err := strconv.ParseInt(expiry, 10, 64); err != nil || now.Add(-proofLife).Unix() > until || now.Add(2*proofLife).Unix() < until {
		return errProof
	}
	return nil
}

func (p *Replicas) mac(text string) ([]byte, error) {
	key, err := p.Authority.Key("replicas")
	if err != nil {
		return nil, err
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil), nil
}
