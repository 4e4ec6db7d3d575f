package handshake

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

const (
	// maxFrame is the largest frame of a handshake, in bytes.
	maxFrame = 4 << 10
	// maxText is the longest string in a frame, in bytes. A longer one is
	// truncated.
	maxText = 1024
)

var errHandshake = errors.New("malformed handshake frame")

// appendText appends a field with a string.
func appendText(b []byte, tag byte, s string) []byte {
	return frame.AppendField(b, tag, s[:min(len(s), maxText)])
}

// parse checks the version of a frame and returns it. It calls take for each field.
func parse(b []byte, take func(tag byte, value []byte) error) (version uint8, err error) {
	if len(b) == 0 {
		return 0, errHandshake
	}
	version = b[0]
	if err := frame.CheckVersion(version); err != nil {
		return 0, fmt.Errorf("handshake: %w", err)
	}
	for b = b[1:]; len(b) > 0; {
		var tag byte
		var value []byte
		if tag, value, b, err = frame.Next(b); err == nil {
			err = take(tag, value)
		}
		if err != nil {
			return 0, fmt.Errorf("handshake: %w", err)
		}
	}
	return version, nil
}

// exactly copies a value to dst. It fails if the two differ in length.
func exactly(dst, value []byte) error {
	if len(value) != len(dst) {
		return errHandshake
	}
	copy(dst, value)
	return nil
}

// direction reads a Direction.
func direction(value []byte) (Direction, error) {
	n, err := frame.Number(value, uint64(Outbound))
	return Direction(n), err
}

// writeFrame sends a frame: u16 length and body.
func writeFrame(w io.Writer, body []byte) error {
	if len(body) > maxFrame {
		return errHandshake
	}
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(body)), uint16(len(body)))
	_, err := w.Write(append(b, body...))
	return err
}

// readFrame reads the body of a frame.
func readFrame(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > maxFrame {
		return nil, errHandshake
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return b, nil
}
