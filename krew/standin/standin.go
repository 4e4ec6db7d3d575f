// Package standin makes files that stand for Go programs in tests of a release. Such a file
// says of itself how it was built, as a real program does, and does nothing else. To make one
// costs nothing, where a real one takes the compiler to another platform.
package standin

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
)

// The parts of the file: the two headers, and from start on the only segment. Its beginning
// is a multiple of 16, where debug/buildinfo looks.
const (
	headers = 64 + 56
	start   = 128
	address = 0x1000
)

// Program is a file that says that it was built for a platform as `make release` builds:
// with -trimpath and without cgo. It is an ELF file for every platform.
func Program(system, arch string) []byte {
	info := "path\texample.com/standin\nmod\texample.com/standin\t(devel)\t\n" +
		"build\t-trimpath=true\nbuild\tCGO_ENABLED=0\nbuild\tGOARCH=" + arch + "\nbuild\tGOOS=" + system + "\n"
	var data bytes.Buffer
	data.WriteString("\xff Go buildinf:")
	data.Write([]byte{8, 2})        // the strings follow, each after its length
	data.Write(make([]byte, 32-16)) // pointers, of which there are none then
	edge := strings.Repeat("-", 16) // what is around the text has this length
	for _, s := range []string{runtime.Version(), edge + info + edge} {
		data.Write(binary.AppendUvarint(nil, uint64(len(s))))
		data.WriteString(s)
	}
	return program(data.Bytes())
}

// program is an ELF file with one segment, of data.
func program(data []byte) []byte {
	size := uint64(len(data))
	var out bytes.Buffer
	for _, header := range []any{
		elf.Header64{
			Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
			Ehsize: 64, Phoff: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
		},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: start, Vaddr: address, Paddr: address,
			Filesz: size, Memsz: size, Align: 16},
	} {
		if err := binary.Write(&out, binary.LittleEndian, header); err != nil {
			panic(fmt.Sprintf("write a header of fixed size: %v", err)) // cannot be
		}
	}
	out.Write(make([]byte, start-headers))
	out.Write(data)
	return out.Bytes()
}
