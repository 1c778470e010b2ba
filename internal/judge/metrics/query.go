package metrics

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue"
)

// Names are what the placeholders {{server}}, {{service}} and {{release}} of a query stand for.
type Names struct {
	Server  segue.ServerName
	Service segue.ServiceName
	Release segue.ReleaseName
}

// Fill puts names into a PromQL query. Within a string a name is escaped for that string (and for the regular expression, behind =~ and !~),
// elsewhere it becomes a string: a name never becomes a part of the query's grammar.
func (n Names) Fill(query string) (string, error) {
	var out strings.Builder
	var quote byte   // of the string that is open, 0 outside
	pattern := false // the string is a regular expression
	for i := 0; i < len(query); i++ {
		c := query[i]
		switch {
		case strings.HasPrefix(query[i:], "{{"):
			value, length, err := n.placeholder(query[i:])
			if err != nil {
				return "", err
			}
			if out.WriteString(literal(value, quote, pattern)); quote == '`' && strings.Contains(value, "`") {
				return "", segue.Errorf(segue.KindInvalid, "fill query: %q cannot stand between backticks", value).WithHint("use double quotes")
			}
			i += length - 1
			continue
		case quote == 0 && (c == '"' || c == '\'' || c == '`'):
			quote = c
			before := strings.TrimRight(query[:i], " \t\r\n")
			pattern = strings.HasSuffix(before, "=~") || strings.HasSuffix(before, "!~")
		case quote == 0 && c == '#':
			end := strings.IndexByte(query[i:], '\n')
			if end < 0 {
				return out.String(), nil
			}
			i += end
			c = '\n'
		case c == '\\' && quote != 0 && quote != '`' && i+1 < len(query):
			out.WriteByte(c)
			i++
			c = query[i]
		case c == quote:
			quote = 0
		}
		out.WriteByte(c)
	}
	if quote != 0 {
		return "", segue.Errorf(segue.KindInvalid, "fill query: a string is not closed").WithHint("see queries in segue.yaml")
	}
	return out.String(), nil
}

// placeholder reads the one that the text begins with.
func (n Names) placeholder(text string) (value string, length int, err error) {
	end := strings.Index(text, "}}")
	if end < 0 {
		return "", 0, segue.Errorf(segue.KindInvalid, "fill query: {{ without }}").WithHint("see queries in segue.yaml")
	}
	switch name := strings.TrimSpace(text[2:end]); name {
	case "server":
		value = string(n.Server)
	case "service":
		value = string(n.Service)
	case "release":
		value = string(n.Release)
	default:
		return "", 0, segue.Errorf(segue.KindInvalid, "fill query: no placeholder is called %q", name).
			WithHint("there are {{server}}, {{service}} and {{release}}")
	}
	return value, end + 2, nil
}

// literal writes a value into the string that is open, or as a string.
func literal(value string, quote byte, pattern bool) string {
	if pattern && quote != 0 {
		value = regexp.QuoteMeta(value)
	}
	switch quote {
	case 0:
		return strconv.Quote(value)
	case '`':
		return value
	}
	escaped := strconv.Quote(value)
	escaped = escaped[1 : len(escaped)-1]
	if quote == '\'' {
		escaped = strings.ReplaceAll(strings.ReplaceAll(escaped, `\"`, `"`), `'`, `\'`)
	}
	return escaped
}
