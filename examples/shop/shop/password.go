package shop

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// hashPassword returns "pbkdf2-sha256$ROUNDS$SALT$HASH", so that the count can be raised and old hashes still be checked.
func hashPassword(password string, rounds int) (string, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails: the program ends first
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	encode := base64.RawStdEncoding.EncodeToString
	return "pbkdf2-sha256$" + strconv.Itoa(rounds) + "$" + encode(salt) + "$" + encode(key), nil
}

// checkPassword reports whether a password belongs to a hash.
func checkPassword(password, hash string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 4 || parts[0] != "pbkdf2-sha256" {
		return false
	}
	rounds, err := strconv.Atoi(parts[1])
	if err != nil || rounds < 1 || rounds > maxHashRounds {
		return false
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[2])
	want, wantErr := base64.RawStdEncoding.DecodeString(parts[3])
	if saltErr != nil || wantErr != nil {
		return false
	}
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare(key, want) == 1
}
