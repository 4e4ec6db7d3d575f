package handshake

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// SecretSize is the length of a Secret in bytes.
const SecretSize = sha256.Size

// Secret authenticates the frames of lines, which are not encrypted. Each process of a
// session makes one, and tells it the relay inside of the TLS of its carriers.
type Secret [SecretSize]byte

// NewSecret returns a random Secret.
func NewSecret() (s Secret) {
	rand.Read(s[:]) // never fails
	return s
}

// tagMAC is the tag of the MAC, the last field of a sealed frame. The MAC covers
// all bytes before the field, and the nonce of the frame to which the sealed frame
// is the answer.
const (
	tagMAC   = 0xff
	macField = 3 + sha256.Size
)

// seal appends the MAC to a frame.
func (s *Secret) seal(purpose string, nonce, b []byte) []byte {
	return frame.AppendField(b, tagMAC, s.sum([]byte(purpose), nonce, b))
}

// sealed says whether seal made the frame with this secret, purpose and nonce.
func (s *Secret) sealed(purpose string, nonce, b []byte) bool {
	if len(b) < macField {
		return false
	}
	body := b[:len(b)-macField]
	tag, mac, rest, err := frame.Next(b[len(body):])
	return err == nil && tag == tagMAC && len(rest) == 0 && hmac.Equal(mac, s.sum([]byte(purpose), nonce, body))
}

// sum returns the HMAC-SHA256 (RFC 2104) of the parts, each with its length before it.
func (s *Secret) sum(parts ...[]byte) []byte {
	m := hmac.New(sha256.New, s[:])
	for _, p := range parts {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		m.Write(p)
	}
	return m.Sum(nil)
}
