// Package repo holds the rules of the repository as tests: which folder may
// import which, what the binaries may link, that packages are documented,
// generated files are fresh and the README speaks of commands that exist.
package repo
