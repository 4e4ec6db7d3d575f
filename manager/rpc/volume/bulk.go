package volume

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Bulk is the first byte that a client sends on a stream of the bulk protocol.
const Bulk = 'B'

// The limits of a message. A peer that exceeds one is not understood.
const (
	// MaxData is the most data in one record, and the most that a Range may ask for.
	MaxData = 4 << 20
	// MaxRequest is the most bytes of one request.
	MaxRequest = 4 << 20
)

// Kind is what a request asks for.
type Kind uint8

// The kinds of requests, and the records that answer them.
const (
	// Hello is answered with one record, whose Data is the JSON of a Tree.
	Hello Kind = iota + 1
	// List is answered with the entries of the folder Paths[0], in no order. If Length is 1,
	// the entries of the folders below follow; then Name is the path below Paths[0].
	List
	// Get is answered with one record for each path, in their order. The Data of a file that
	// has more than Length bytes is missing.
	Get
	// Range is answered with one record: Length bytes of the file Paths[0] from Offset on, or
	// fewer at the end of the file.
	Range
)

// Request is a question of the bulk protocol.
type Request struct {
	Kind           Kind
	Offset, Length uint64
	Paths          []string
}

// Record is a part of an answer.
type Record struct {
	Name string
	Attr Attr
	// Link is where a symbolic link leads. It is relative, and empty if the link leads out
	// of what is served.
	Link string
	// Errno is not 0 if the file could not be read. Then the rest is zero.
	Errno uint32
	// Whole says that Data is the whole content of the file, which did not change while it
	// was read.
	Whole bool
	// Sum is Checksum(Data).
	Sum  uint32
	Data []byte
}

// Checksum is the CRC-32C of data.
func Checksum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

// Tree says what an agent serves, in the answer to Hello.
type Tree struct {
	// UID, GID and Groups are those of the container's process.
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
	Mounts []Mount  `json:"mounts"`
}

// Mount is a volume of a container.
type Mount struct {
	// Path is where the container has it.
	Path     string `json:"path"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// WriteRequest writes a request.
func WriteRequest(w io.Writer, q Request) error {
	b := binary.AppendUvarint([]byte{byte(q.Kind)}, q.Offset)
	b = binary.AppendUvarint(b, q.Length)
	for _, p := range q.Paths {
		b = appendBytes(b, p)
	}
	return writeMessage(w, b)
}

// ReadRequest reads a request. It returns io.EOF if the client has no more.
func ReadRequest(r *bufio.Reader) (Request, error) {
	b, err := readMessage(r, MaxRequest)
	if err != nil {
		return Request{}, err
	}
	if len(b) == 0 {
		return Request{}, ErrMalformed
	}
	q := Request{Kind: Kind(b[0])}
	f := reader{b: b[1:]}
	q.Offset, q.Length = f.uint(), f.uint()
	for !f.bad && len(f.b) > 0 {
		q.Paths = append(q.Paths, string(f.bytes()))
	}
	return q, f.end()
}

// Append appends the record to b, as WriteRecord writes it.
func (rec *Record) append(b []byte) []byte {
	b = appendBytes(b, rec.Name)
	b = rec.Attr.Append(b)
	b = appendBytes(b, rec.Link)
	b = binary.AppendUvarint(b, uint64(rec.Errno))
	whole := byte(0)
	if rec.Whole {
		whole = 1
	}
	b = append(b, whole)
	return binary.AppendUvarint(b, uint64(rec.Sum))
}

// WriteRecord writes a record.
func WriteRecord(w *bufio.Writer, rec *Record) error {
	head := rec.append(make([]byte, 0, 128))
	size := binary.AppendUvarint(nil, uint64(len(head)+len(rec.Data)))
	// The length of the head tells it from the data.
	size = binary.AppendUvarint(size, uint64(len(head)))
	for _, part := range [][]byte{size, head, rec.Data} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// EndRecords says that an answer has no more records.
func EndRecords(w *bufio.Writer) error {
	if err := w.WriteByte(0); err != nil {
		return err
	}
	return w.Flush()
}

// ReadRecord reads a record. It returns io.EOF at the end of the answer, and
// io.ErrUnexpectedEOF if the stream ends before.
func ReadRecord(r *bufio.Reader) (*Record, error) {
	size, err := readSize(r, MaxData+1<<16)
	if err != nil {
		return nil, unexpected(err)
	}
	if size == 0 {
		return nil, io.EOF
	}
	head, err := readSize(r, size)
	if err != nil {
		return nil, unexpected(err)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, unexpected(err)
	}
	f := reader{b: b[:head]}
	rec := &Record{Name: string(f.bytes()), Attr: f.attr(), Link: string(f.bytes()), Errno: f.uint32()}
	if len(f.b) > 0 {
		rec.Whole = f.b[0] == 1
	}
	f.take(1)
	rec.Sum, rec.Data = f.uint32(), b[head:]
	return rec, f.end()
}

func writeMessage(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.AppendUvarint(make([]byte, 0, len(b)+8), uint64(len(b))), b...))
	return err
}

func readMessage(r *bufio.Reader, limit uint64) ([]byte, error) {
	n, err := readSize(r, limit)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, unexpected(err)
	}
	return b, nil
}

func readSize(r *bufio.Reader, limit uint64) (uint64, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, err
	}
	if n > limit {
		return 0, ErrMalformed
	}
	return n, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
