package render

import (
	"io"

	"k8s.io/cli-runtime/pkg/printers"
)

// Warn prints a warning as kubectl does.
func Warn(w io.Writer, text string) {
	printers.NewWarningPrinter(w, printers.WarningPrinterOptions{Color: printers.AllowsColorOutput(w)}).Print(text)
}
