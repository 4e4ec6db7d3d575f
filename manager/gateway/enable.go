package gateway

// Enable is the command by which an administrator has preview URLs.
const Enable = "kubectl intercept upgrade --set preview.enabled=true,preview.domain=DOMAIN"
