import running_stack


def pytest_terminal_summary(terminalreporter):
    if running_stack.repeats:
        terminalreporter.section("repeated because the machine stalled")
        for line in running_stack.repeats:
            terminalreporter.write_line(line)
