package api

import "github.com/segue-deploy/segue/internal/operator"

// The wire types, under the name that callers of the API know them by; see package operator.
type (
	// Project is operator.Project.
	Project = operator.Project
	// Target is operator.Target.
	Target = operator.Target
	// DeployRequest is operator.DeployRequest.
	DeployRequest = operator.DeployRequest
	// PlanReply is operator.PlanReply.
	PlanReply = operator.PlanReply
	// ServicePlan is operator.ServicePlan.
	ServicePlan = operator.ServicePlan
	// Forecast is operator.Forecast.
	Forecast = operator.Forecast
	// Prospect is operator.Prospect.
	Prospect = operator.Prospect
	// Past is operator.Past.
	Past = operator.Past
	// DeployReply is operator.DeployReply.
	DeployReply = operator.DeployReply
	// Rollout is operator.Rollout.
	Rollout = operator.Rollout
	// StepStatus is operator.StepStatus.
	StepStatus = operator.StepStatus
	// Status is operator.Status.
	Status = operator.Status
	// ServiceStatus is operator.ServiceStatus.
	ServiceStatus = operator.ServiceStatus
	// ReleaseTraffic is operator.ReleaseTraffic.
	ReleaseTraffic = operator.ReleaseTraffic
	// OrderRequest is operator.OrderRequest.
	OrderRequest = operator.OrderRequest
	// RotationRequest is operator.RotationRequest.
	RotationRequest = operator.RotationRequest
	// HistoryEntry is operator.HistoryEntry.
	HistoryEntry = operator.HistoryEntry
	// ReceiptReply is operator.ReceiptReply.
	ReceiptReply = operator.ReceiptReply
)
