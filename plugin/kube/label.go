package kube

import "strings"

// LabelPart makes a part of a DNS label from any text, such as a user's name: lower-case
// letters, digits and single hyphens, at most limit of them. It returns otherwise if
// nothing of the text is left.
func LabelPart(text string, limit int, otherwise string) string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	part := strings.Join(words, "-")
	part = strings.TrimRight(part[:min(len(part), limit)], "-")
	if part == "" {
		return otherwise
	}
	return part
}
