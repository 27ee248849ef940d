"""How the review looks. Colours are those of the theme (TEXTUAL_THEME chooses one); NO_COLOR is respected."""

CSS = """\
#status { height: 1; background: $primary-darken-2; color: $text; text-style: bold; }
#panes { height: 1fr; }
.-wide #panes { layout: horizontal; }
.-narrow #panes { layout: vertical; }
.-wide EntryList { width: 30%; max-width: 48; height: 1fr; border-right: solid $primary-darken-2; }
.-narrow EntryList { height: auto; max-height: 25%; min-height: 2; border-bottom: solid $primary-darken-2; }
DiffPane { width: 1fr; height: 1fr; overflow-x: hidden; }
EntryList { overflow-x: hidden; }

.lines--name { text-style: bold; }
.lines--detail, .lines--informational { color: $text-muted; }
.lines--significant { color: $text; }
.lines--refused { color: $text-error; text-style: bold; }
.lines--decided { color: $text-success; text-style: bold; }
.lines--current { background: $primary; color: $text; text-style: bold; }
.lines--heading { color: $text-primary; }
.lines--same { color: $text; }
.lines--fold { color: $text-muted; text-style: italic; }
.lines--title-changed { background: $warning-muted; color: $text; text-style: bold; }
.lines--title-added { background: $success-muted; color: $text; text-style: bold; }
.lines--title-removed { background: $error-muted; color: $text; text-style: bold; }
.lines--title-equal { background: $panel; color: $text-muted; }
.lines--added { background: $success 15%; color: $text; }
.lines--added-word { background: $success 45%; color: $text; text-style: bold underline; }
.lines--removed { background: $error 15%; color: $text; }
.lines--removed-word { background: $error 45%; color: $text; text-style: bold underline; }

Question, Help { align: center middle; background: $background 60%; }
.dialog { width: auto; max-width: 90%; height: auto; padding: 1 2; background: $surface; border: round $primary; }
.dialog Static { width: auto; }
.dialog Horizontal { height: 1; margin-top: 1; }
.dialog Button { margin-right: 2; }
"""
