package tunnel

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
)

// PinSize is the length of a Pin in bytes.
const PinSize = sha256.Size

// Pin names a TLS peer: SHA-256 of the subject public key info of its
// certificate (RFC 7469, section 2.4).
type Pin [PinSize]byte

// PinOf is the pin of a certificate.
func PinOf(c *x509.Certificate) Pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// LineKeys are what session and relay derive of the session's token: the key
// that authenticates frames in the clear, and the session's key pair.
type LineKeys struct {
	mac []byte
	key ed25519.PrivateKey
}

// NewLineKeys derives the keys with HKDF-SHA256 (RFC 5869).
func NewLineKeys(token [TokenSize]byte) (*LineKeys, error) {
	mac, err := hkdf.Key(sha256.New, token[:], nil, "kubectl-intercept line mac", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive line keys: %w", err)
	}
	seed, err := hkdf.Key(sha256.New, token[:], nil, "kubectl-intercept line identity", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive line keys: %w", err)
	}
	return &LineKeys{mac: mac, key: ed25519.NewKeyFromSeed(seed)}, nil
}

// Pin is the session's, as its agents must see it.
func (k *LineKeys) Pin() (Pin, error) {
	der, err := x509.MarshalPKIXPublicKey(k.key.Public())
	if err != nil {
		return Pin{}, fmt.Errorf("encode line key: %w", err)
	}
	return sha256.Sum256(der), nil
}

// Certificate is the session's, signed by itself: it is known by its pin.
func (k *LineKeys) Certificate() ([]tls.Certificate, error) {
	now := time.Now()
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "session"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(10, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, t, t, k.key.Public(), k.key)
	if err != nil {
		return nil, fmt.Errorf("make line certificate: %w", err)
	}
	return []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: k.key}}, nil
}

func (k *LineKeys) sum(purpose string, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, k.mac)
	for _, p := range append([][]byte{[]byte(purpose)}, parts...) {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		m.Write(p)
	}
	return m.Sum(nil)
}

var errLine = errors.New("line frame is not the peer's")

const nonceSize = 16

// LineHello is the first frame of a line, from the session.
type LineHello struct {
	Session    string
	Generation uint64
	Direction  Direction
	nonce      [nonceSize]byte
	mac        [sha256.Size]byte
}

// NewLineHello makes a Hello that is good for one line.
func NewLineHello(k *LineKeys, session string, generation uint64, d Direction) *LineHello {
	h := &LineHello{Session: session, Generation: generation, Direction: d}
	rand.Read(h.nonce[:])
	copy(h.mac[:], h.sum(k))
	return h
}

func (h *LineHello) sum(k *LineKeys) []byte {
	return k.sum("hello", binary.BigEndian.AppendUint64(nil, h.Generation), []byte{byte(h.Direction)}, h.nonce[:], []byte(h.Session))
}

// Check says whether the holder of the session's token made it.
func (h *LineHello) Check(k *LineKeys) bool { return hmac.Equal(h.mac[:], h.sum(k)) }

// WriteLineHello sends h.
func WriteLineHello(w io.Writer, h *LineHello) error {
	b := binary.BigEndian.AppendUint64([]byte{handshakeVersion, byte(h.Direction)}, h.Generation)
	b = append(append(b, h.nonce[:]...), h.mac[:]...)
	return writeFrame(w, appendStrings(b, h.Session))
}

// ReadLineHello reads one. It is not checked yet.
func ReadLineHello(r io.Reader) (*LineHello, error) {
	b, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	return parseLineHello(b)
}

func parseLineHello(b []byte) (*LineHello, error) {
	const fixed = 2 + 8 + nonceSize + sha256.Size
	if len(b) < fixed || b[0] != handshakeVersion || Direction(b[1]) > Outbound {
		return nil, errHandshake
	}
	h := &LineHello{Direction: Direction(b[1]), Generation: binary.BigEndian.Uint64(b[2:])}
	copy(h.nonce[:], b[10:])
	copy(h.mac[:], b[10+nonceSize:])
	return h, parseStrings(b[fixed:], &h.Session)
}

// LineRequest is an agent's wish for a line.
type LineRequest struct {
	Session string
	// Intercept is "namespace/name", InterceptUID its UID. The line carries
	// flows of it and of no other.
	Intercept, InterceptUID string
}

// LineJoined tells the session which agent has its line from now on, and for
// which intercept.
type LineJoined struct {
	// Agent is the pin of the agent's certificate, Pod its "namespace/name".
	Agent                   Pin
	Pod                     string
	Intercept, InterceptUID string
}

// WriteLineJoined sends j, in answer to h.
func WriteLineJoined(w io.Writer, k *LineKeys, h *LineHello, j *LineJoined) error {
	b := append([]byte{handshakeVersion}, j.Agent[:]...)
	b = append(b, j.sum(k, h)...)
	return writeFrame(w, appendStrings(b, j.Pod, j.Intercept, j.InterceptUID))
}

func (j *LineJoined) sum(k *LineKeys, h *LineHello) []byte {
	return k.sum("joined", h.nonce[:], j.Agent[:], []byte(j.Pod), []byte(j.Intercept), []byte(j.InterceptUID))
}

// WriteLineKeepalive tells the session that its line is still wanted.
func WriteLineKeepalive(w io.Writer) error { return writeFrame(w, nil) }

// ReadLineJoined waits for the answer to h. Alive is called for each keepalive.
func ReadLineJoined(r io.Reader, k *LineKeys, h *LineHello, alive func()) (*LineJoined, error) {
	for {
		b, err := readFrame(r)
		if err != nil {
			return nil, err
		}
		if len(b) == 0 {
			alive()
			continue
		}
		return parseLineJoined(b, k, h)
	}
}

func parseLineJoined(b []byte, k *LineKeys, h *LineHello) (*LineJoined, error) {
	const fixed = 1 + PinSize + sha256.Size
	if len(b) < fixed || b[0] != handshakeVersion {
		return nil, errHandshake
	}
	j := &LineJoined{Agent: Pin(b[1 : 1+PinSize])}
	if err := parseStrings(b[fixed:], &j.Pod, &j.Intercept, &j.InterceptUID); err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(b[1+PinSize:fixed], j.sum(k, h)) != 1 {
		return nil, errLine
	}
	return j, nil
}

// WriteLineRequest asks a relay for a line, on a connection of ALPNLine.
func WriteLineRequest(w io.Writer, q *LineRequest) error {
	return writeFrame(w, appendStrings([]byte{handshakeVersion}, q.Session, q.Intercept, q.InterceptUID))
}

// ReadLineRequest reads one.
func ReadLineRequest(r io.Reader) (*LineRequest, error) {
	b, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	return parseLineRequest(b)
}

func parseLineRequest(b []byte) (*LineRequest, error) {
	if len(b) < 1 || b[0] != handshakeVersion {
		return nil, errHandshake
	}
	q := &LineRequest{}
	return q, parseStrings(b[1:], &q.Session, &q.Intercept, &q.InterceptUID)
}

// WriteLineAnswer says whether there is a line, and the session's pin.
func WriteLineAnswer(w io.Writer, v Verdict, session Pin) error {
	return writeFrame(w, append([]byte{handshakeVersion, byte(v)}, session[:]...))
}

// ReadLineAnswer reads one.
func ReadLineAnswer(r io.Reader) (Verdict, Pin, error) {
	b, err := readFrame(r)
	if err != nil {
		return 0, Pin{}, err
	}
	return parseLineAnswer(b)
}

func parseLineAnswer(b []byte) (Verdict, Pin, error) {
	if len(b) != 2+PinSize || b[0] != handshakeVersion {
		return 0, Pin{}, errHandshake
	}
	v, err := verdict(b[1])
	return v, Pin(b[2:]), err
}
