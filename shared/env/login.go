package env

import "encoding/json"

// Login is who logs in, as Secrets Manager and RDS keep it:
// {"username":"…","password":"…"}, whatever else stands in it.
type Login struct {
	Username string
	Password Secret
}

// login keeps one.
func login(to *Login) func(string) string {
	return func(text string) string {
		var given struct {
			Username string `json:"username"`
			Password string `json:"password"`
		}
		if json.Unmarshal([]byte(text), &given) != nil || given.Username == "" || given.Password == "" {
			return `not JSON like {"username":"…","password":"…"}`
		}
		*to = Login{given.Username, Secret(given.Password)}
		return ""
	}
}
