package environ

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/agent/openat2"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
)

// A program that writes a title over its environment has moved the strings before, since it
// still needs them: PostgreSQL, Perl, Ruby, and Python with setproctitle do so. The variable
// "environ" of the C library (environ(7)) points to an array of pointers to the strings,
// which ends with a null pointer.

// errNotMoved says that the variable was not found.
var errNotMoved = errors.New("the process has no C library whose variable environ can be found")

// cLibrary is the name of a file with the C library: glibc's or musl's.
var cLibrary = regexp.MustCompile(`^(libc\.so\.6|libc-2\.\d+\.so|ld-musl-\w+\.so\.1|libc\.musl-\w+\.so\.1)$`)

// maxProgram is how large a file may be that is searched for the variable. A symbol table
// is a part of it.
const maxProgram = 1 << 30

// moved returns the environment that getenv of a process reads at present. It is empty if
// the process has no variables any more.
func (p Proc) moved(pid int) (process.Environment, error) {
	maps, err := p.whole(pid, "maps")
	if err != nil {
		return nil, err
	}
	exe, err := os.Readlink(p.file(pid, "exe"))
	if err != nil {
		return nil, err
	}
	// A program that was linked to use the variable may have it itself, in place of the
	// library.
	for _, m := range images(maps, exe) {
		variable, err := p.variable(pid, m, m.path == exe)
		if errors.Is(err, errNotMoved) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return readEnvironment(func(at uint64, b []byte) error { return memoryInto(pid, at, b) }, variable)
	}
	return nil, errNotMoved
}

// image is a file that a process has mapped into its memory from the beginning.
type image struct {
	start uint64
	path  string
}

// images returns the program and the C library from the maps of a process (proc(5)), the
// program first.
func images(maps []byte, exe string) (found []image) {
	seen := map[string]bool{}
	for line := range strings.Lines(string(maps)) {
		// start-end permissions offset device inode path
		fields, path, isFile := strings.Cut(strings.TrimSuffix(line, "\n"), "/")
		f := strings.Fields(fields)
		m := image{path: "/" + path}
		if !isFile || len(f) != 5 || strings.Trim(f[2], "0") != "" || seen[m.path] {
			continue
		}
		start, _, _ := strings.Cut(f[0], "-")
		var err error
		if m.start, err = strconv.ParseUint(start, 16, 64); err != nil {
			continue
		}
		seen[m.path] = true
		switch {
		case m.path == exe:
			found = append([]image{m}, found...)
		case cLibrary.MatchString(filepath.Base(m.path)):
			found = append(found, m)
		}
	}
	return found
}

// variable returns the address of the variable in the memory of a process.
func (p Proc) variable(pid int, m image, program bool) (uint64, error) {
	var f *os.File
	var err error
	if program {
		f, err = os.Open(p.file(pid, "exe"))
	} else {
		f, err = inRoot(p.file(pid, "root"), m.path)
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxProgram {
		return 0, errNotMoved
	}
	file, err := elf.NewFile(f)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", m.path, err)
	}
	at, ok := variableOf(file)
	if !ok {
		return 0, errNotMoved
	}
	for _, s := range file.Progs {
		if s.Type == elf.PT_LOAD && s.Off == 0 {
			return m.start - s.Vaddr + at, nil
		}
	}
	return 0, errNotMoved
}

// variableOf returns the variable's address in a file. Addresses have 64 bits, the lower
// ones first, on all machines that the agent is built for.
func variableOf(file *elf.File) (uint64, bool) {
	if file.Class != elf.ELFCLASS64 || file.Data != elf.ELFDATA2LSB {
		return 0, false
	}
	for _, table := range []func() ([]elf.Symbol, error){file.DynamicSymbols, file.Symbols} {
		symbols, err := table()
		if err != nil {
			continue // there is none
		}
		for _, s := range symbols {
			if s.Section != elf.SHN_UNDEF && s.Size == 8 && (s.Name == "environ" || s.Name == "__environ") {
				return s.Value, true
			}
		}
	}
	return 0, false
}

// inRoot opens a file of the container whose root folder this is. No link leads out of it.
func inRoot(root, path string) (*os.File, error) {
	dir, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fd, err := openat2.Open(int(dir.Fd()), path, unix.O_RDONLY|unix.O_NONBLOCK, 0, openat2.InRoot)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// readEnvironment reads the strings of the array to which the variable points. Read fills a
// buffer from an address.
func readEnvironment(read func(at uint64, b []byte) error, variable uint64) (process.Environment, error) {
	m := memoryReader{read: read}
	array, err := m.pointer(variable)
	if err != nil || array == 0 {
		return nil, err
	}
	var raw []byte
	for ; ; array += 8 {
		at, err := m.pointer(array)
		if err != nil {
			return nil, err
		}
		if at == 0 {
			break
		}
		begin := len(raw)
		if raw, err = m.string(raw, at); err != nil {
			return nil, err
		}
		if !bytes.Contains(raw[begin:], []byte("=")) {
			raw = raw[:begin] // no variable; getenv skips it, too
		}
	}
	all, _ := parse(raw)
	return all, nil
}

// memoryReader reads the memory of a process by pages, and keeps the last one: what is read
// next is often beside.
type memoryReader struct {
	read  func(at uint64, b []byte) error
	page  [pageSize]byte
	start uint64 // of page; 0 before the first
	pages int    // that were read
}

// pageSize is the least that machines have; a larger page consists of whole ones.
const pageSize = 4096

// maxPages bounds what is read: an environment of the largest size, and as much for the
// array.
const maxPages = 2 * process.MaxSize / pageSize

// from returns what the page of an address has from there on.
func (m *memoryReader) from(at uint64) ([]byte, error) {
	start := at &^ (pageSize - 1)
	if m.start == 0 || start != m.start {
		if m.pages++; m.pages > maxPages {
			return nil, errTooLarge
		}
		m.start = 0
		if err := m.read(start, m.page[:]); err != nil {
			return nil, fmt.Errorf("read the environment in the memory of the process: %w", err)
		}
		m.start = start
	}
	return m.page[at-start:], nil
}

// pointer reads a pointer, which lies within one page.
func (m *memoryReader) pointer(at uint64) (uint64, error) {
	if at%8 != 0 {
		return 0, fmt.Errorf("read the environment in the memory of the process: %#x is no address of a pointer", at)
	}
	b, err := m.from(at)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// string appends a string and its NUL.
func (m *memoryReader) string(to []byte, at uint64) ([]byte, error) {
	for {
		b, err := m.from(at)
		if err != nil {
			return nil, err
		}
		for i, c := range b {
			if c == 0 {
				return append(to, b[:i+1]...), nil
			}
		}
		to = append(to, b...)
		at += uint64(len(b))
		if len(to) > process.MaxSize {
			return nil, errTooLarge
		}
	}
}
