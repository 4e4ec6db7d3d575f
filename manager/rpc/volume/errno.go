package volume

import (
	"fmt"
	"strconv"
	"strings"
)

const errnoPrefix = "errno "

// ErrorText is the text of an SFTP error: the number that Linux has for it, and its words.
func ErrorText(errno uint32, words string) string {
	return fmt.Sprintf("%s%d: %s", errnoPrefix, errno, words)
}

// ErrnoOf finds the number of ErrorText in the text of an error that an SFTP client
// returns.
func ErrnoOf(text string) (uint32, bool) {
	_, rest, ok := strings.Cut(text, errnoPrefix)
	if !ok {
		return 0, false
	}
	digits, _, ok := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(digits, 10, 16)
	return uint32(n), ok && err == nil && n > 0
}
