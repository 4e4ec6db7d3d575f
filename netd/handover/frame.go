package handover

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// encode returns the message without its length.
func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err == nil && len(b) > MaxMessage {
		err = fmt.Errorf("a message of %d bytes is longer than %d", len(b), MaxMessage)
	}
	return b, err
}

func length(b []byte) []byte { return binary.BigEndian.AppendUint32(nil, uint32(len(b))) }

// readFrom reads one message. header reads the four bytes of its length.
func readFrom(r io.Reader, header func([]byte) error, v any) error {
	var h [4]byte
	if err := header(h[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(h[:])
	if n > MaxMessage {
		return fmt.Errorf("a message of %d bytes is longer than %d", n, MaxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	return nil
}

// read reads one message without a descriptor.
func read(r io.Reader, v any) error {
	return readFrom(r, func(h []byte) error { _, err := io.ReadFull(r, h); return err }, v)
}

func write(w io.Writer, v any) error {
	b, err := encode(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(length(b), b...))
	return err
}
