//go:build !linux

package tunnel

import "io"

// Splice moves the bytes of src to dst until src ends, and tells count how many. Both are
// made by NewTCP. The error is a WriteError if dst has failed, and that of src otherwise.
func Splice(dst, src Stream, count func(int)) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				return &WriteError{werr}
			}
			count(n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// SpliceN is Splice for the next n bytes of src. It returns io.ErrUnexpectedEOF if src
// ends before.
func SpliceN(dst, src Stream, n int64, count func(int)) error {
	limited := &firstBytes{Stream: src, left: n}
	err := Splice(dst, limited, count)
	if err == nil && limited.left > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// firstBytes ends after that many bytes of a Stream.
type firstBytes struct {
	Stream
	left int64
}

// Read implements io.Reader.
func (f *firstBytes) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n, err := f.Stream.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, err
}
