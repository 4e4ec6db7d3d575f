package preview

import (
	"fmt"
	"net/http"

	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
)

// page is what the visitor sees in place of the application. It names nothing of
// the cluster.
type page struct {
	title, text string
	form        bool
}

var (
	pageEnded   = page{"There is no preview here", "It has ended, or the address is not complete.", false}
	pageAway    = page{"This preview does not answer", "What it leads to does not answer at the moment. The owner of the preview can see why.", false}
	pageAsk     = page{"This preview has a password", "Its owner knows it.", true}
	pageWrong   = page{"This preview has a password", "That was not the password.", true}
	pageBusy    = page{"This preview has many visitors", "It takes no more requests at the moment. Try again in a while.", false}
	pageTooMany = page{"Too many attempts", "Wait a minute before the next one.", false}
)

const (
	layout = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>%[1]s</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:30rem;margin:20vh auto;padding:0 1rem}input,button{font:inherit;padding:.3rem .6rem}</style>
<h1>%[1]s</h1>
<p>%[2]s</p>
%[3]s</html>
`
	passwordForm = `<form method="post"><input type="password" name="` + passwordField + `" aria-label="Password" autocomplete="current-password" autofocus required> <button>Open</button></form>
`
)

// show answers with a page.
func show(w http.ResponseWriter, status int, p page) {
	h := w.Header()
	gateway.Unlisted(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	form := ""
	if p.form {
		form = passwordForm
	}
	fmt.Fprintf(w, layout, p.title, p.text, form)
}
