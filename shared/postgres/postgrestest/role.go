package postgrestest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
)

const (
	group = "stayhold_app"       // as the migration names it
	login = "stayhold_functions" // its member
)

// putLoginSQL makes the login, once for the whole server: several may come at once. The group is there before its
// migration only where that has not run yet.
const putLoginSQL = `DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '` + group + `') THEN
        BEGIN
            CREATE ROLE ` + group + ` NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '` + login + `') THEN
        BEGIN
            CREATE ROLE ` + login + ` LOGIN PASSWORD '%s' IN ROLE ` + group + `;
            ALTER ROLE ` + login + ` SET enable_seqscan = off;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
END $$`

// PutLogin makes the login with which the functions are to reach a database, as a deployer would, and returns its URL.
// The database's owner must be one who may make roles.
func PutLogin(ctx context.Context, owner string) (functions string, err error) {
	u, err := url.Parse(owner)
	if err != nil || u.User == nil {
		return "", errors.New("the database URL must begin with postgres:// and name a user")
	}
	if err := Exec(ctx, owner, fmt.Sprintf(putLoginSQL, wordOfLogin(u))); err != nil {
		return "", fmt.Errorf("making the functions' login: %w", err)
	}
	return Functions(owner), nil
}

// Functions is the URL of the functions' login, on the database whose owner's URL is given. The login is there: Database
// or PutLogin has made it.
func Functions(owner string) string {
	u, err := url.Parse(owner)
	if err != nil || u.User == nil {
		return owner // no URL of ours: whoever opens it is told
	}
	u.User = url.UserPassword(login, wordOfLogin(u))
	return u.String()
}

// Login is who the functions log in as on the database whose owner's URL is given: JSON as Secrets Manager keeps it, for
// MigrateFunction to make.
func Login(owner string) (string, error) {
	u, err := url.Parse(owner)
	if err != nil || u.User == nil {
		return "", errors.New("the database URL must begin with postgres:// and name a user")
	}
	text, err := json.Marshal(map[string]string{"username": login, "password": wordOfLogin(u)})
	return string(text), err
}

// wordOfLogin is the login's password: the same as long as the owner's is, which nobody learns from it.
func wordOfLogin(owner *url.URL) string {
	word, _ := owner.User.Password()
	sum := sha256.Sum256([]byte(login + ":" + word))
	return hex.EncodeToString(sum[:16])
}
