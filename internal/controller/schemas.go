package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration/jsonshape"
)

// schemaSample is how many values of a column are held against its schema.
const schemaSample = 500

// compareSchemas holds the JSON Schemas that a release declares for columns against those of stable, and against what is in the columns. What breaks
// refuses the rollout; what cannot be decided is said.
func (o *outlook) compareSchemas(ctx context.Context, stable Database, q question) error {
	for _, column := range o.config.Schemas {
		name := column.Table + "." + column.Column
		mode := jsonshape.Mode(column.Mode)
		if i := slices.IndexFunc(stable.Schemas, func(s ColumnSchema) bool { return s.Table == column.Table && s.Column == column.Column }); i >= 0 {
			faults, err := jsonshape.Compare(stable.Schemas[i].Schema, column.Schema, mode)
			if err != nil {
				return fmt.Errorf("compare schemas of %s in database %s: %w", name, o.config.Name, err)
			}
			for _, fault := range faults {
				o.object(name, fault.String(), fault.Certainty == jsonshape.Breaks)
			}
		}
		if err := o.sampleColumn(ctx, column, q); err != nil {
			return err
		}
	}
	return nil
}

// sampleColumn holds values that are there against the schema of the new release.
func (o *outlook) sampleColumn(ctx context.Context, column ColumnSchema, q question) error {
	name, mode := column.Table+"."+column.Column, jsonshape.Mode(column.Mode)
	if mode == jsonshape.ModeNone {
		return nil
	}
	values, err := o.desk.driver.Sample(ctx, column.Table, column.Column, schemaSample)
	if err != nil {
		if kind := segue.KindOf(err); kind == segue.KindNotFound || kind == segue.KindUnsupported {
			return nil // the release brings it
		}
		return fmt.Errorf("sample %s of database %s: %w", name, o.config.Name, err)
	}
	report, err := jsonshape.Check(column.Schema, values)
	if err != nil {
		return fmt.Errorf("check %s of database %s: %w", name, o.config.Name, err)
	}
	if report.Violating == 0 {
		return nil
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d of %d values that are there do not fit the schema of %s", report.Violating, report.Checked, q.candidate)
	for _, example := range report.Examples {
		fmt.Fprintf(&text, "; %s %s", example.Path, example.Reason)
	}
	o.object(name, text.String(), mode != jsonshape.ModeForward)
	return nil
}

// object notes what is wrong with a column, and refuses the rollout where that is sure.
func (o *outlook) object(column, text string, sure bool) {
	if !sure {
		o.notes = append(o.notes, fmt.Sprintf("%s: %s: %s", o.config.Name, column, text))
		return
	}
	if o.refused == nil {
		o.refused = segue.Errorf(segue.KindRefused, "database %s: %s: %s", o.config.Name, column, text).
			WithHint("let the new release go on reading and writing the old form, and change it over two releases; or declare the column's mode: none")
	}
}

// databaseOf is a database as a registered release has it; ok is false when that is not known.
func (c *Controller) databaseOf(ctx context.Context, service segue.ServiceName, release segue.ReleaseName, name segue.DatabaseName) (found Database, ok bool) {
	if release == "" {
		return found, false
	}
	v, err := c.viewOf(ctx, service)
	if err != nil {
		return found, false
	}
	known, ok := v.Releases[release]
	if !ok {
		return found, false
	}
	config, err := c.options.Configs.Get(known.Config)
	if err != nil {
		return found, false
	}
	i := slices.IndexFunc(config.Databases, func(d Database) bool { return d.Name == name })
	if i < 0 {
		return found, false
	}
	return config.Databases[i], true
}
