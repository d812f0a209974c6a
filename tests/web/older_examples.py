"""The older API as its documents describe it, word for word: the JSON of their examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

RUNNING_EXAMPLE: Mapping[str, Any] = json.loads(
    """
{
  "run_id": "run_08ac1de6fa8d",
  "status": "running",
  "workflow_steps": {
    "current_step": 3,
    "total_steps": 10,
    "steps": [
      {
        "step_id": 1,
        "name": "Initial Analysis",
        "status": "completed",
        "started_at": "2025-06-13T20:13:49Z",
        "completed_at": "2025-06-13T20:14:12Z",
        "duration_seconds": 23,
        "result": "Analyzed codebase structure",
        "tools_used": ["Read", "Glob", "Grep"],
        "tool_calls": 5,
        "cost": 0.0245
      },
      {
        "step_id": 2,
        "name": "Requirements Gathering",
        "status": "completed",
        "started_at": "2025-06-13T20:14:12Z",
        "completed_at": "2025-06-13T20:14:45Z",
        "duration_seconds": 33,
        "result": "Identified key requirements",
        "tools_used": ["TodoWrite", "Read"],
        "tool_calls": 3,
        "cost": 0.0189
      },
      {
        "step_id": 3,
        "name": "Implementation Phase",
        "status": "in_progress",
        "started_at": "2025-06-13T20:14:45Z",
        "completed_at": null,
        "duration_seconds": 64,
        "result": null,
        "tools_used": ["Edit", "Write"],
        "tool_calls": 8,
        "cost": 0.0321
      }
    ]
  },
  "progress_summary": {
    "completion_percentage": 30,
    "estimated_completion": "2025-06-13T20:18:00Z",
    "current_phase": "Implementation Phase",
    "recent_activity": "Editing configuration files"
  }
}
"""
)
COMPLETED_EXAMPLE: Mapping[str, Any] = json.loads(
    r"""
{
  "run_id": "run_08ac1de6fa8d",
  "status": "completed",
  "final_result": "## **Workflow Orchestration Complete - Summary Report**\n\n### **Execution Overview**\n- **Total Steps**: 10/10 \n- **Status**: Successfully Completed\n- **Duration**: All steps executed systematically...",
  "workflow_summary": {
    "total_steps_completed": 10,
    "success_rate": 100,
    "major_achievements": [
      "Successfully implemented workflow status endpoint",
      "Added comprehensive progress tracking",
      "Integrated with existing monitoring systems"
    ],
    "files_modified": 5,
    "tests_passed": 12,
    "deployment_ready": true
  },
  "step_by_step_results": [
    {
      "step_id": 1,
      "name": "Initial Analysis",
      "status": "completed",
      "result": "Analyzed codebase structure and identified enhancement opportunities",
      "duration_seconds": 23,
      "success": true
    }
  ]
}
"""  # noqa: E501 - word for word
)
CONTINUE_EXAMPLE: Mapping[str, Any] = json.loads(
    """
{
    "session_id": "8b99235a-e9ee-447c-a529-ea6c13de5c3d",
    "additional_turns": 20,
    "message": "Continue the cleanup task from where you left off"
}
"""
)
