"""The table of commands."""

import sys

try:
    from cyclopts import App
except ModuleNotFoundError:
    sys.exit("dealquest: the command line needs the extra `cli`: pip install 'dealquest[cli]'")

from dealquest import __version__

app = App(name="dealquest", help="Practise sales conversations, and everything around it.", version=__version__)

app.command("dealquest.cli.chat:chat", name="chat", help="Open the coach in the terminal.")
app.command("dealquest.cli.bot:bot", name="bot", help="Run the coach as a Telegram bot.")
app.command("dealquest.cli.serve:serve", name="serve", help="Serve records, functions and health over HTTP.")
app.command("dealquest.cli.ask:ask", name="ask", help="Ask a model one question.")
app.command("dealquest.cli.evaluate:app", name="eval", help="Evaluate models, prompts and judges: run, resume, show, label, export.")
app.command("dealquest.cli.doctor:doctor", name="doctor", help="Show what is set, from where, and what each missing setting switches off.")
app.command("dealquest.cli.db:app", name="db", help="The database: status, migrations, and PostgREST over any of them.")
app.command("dealquest.cli.keys:app", name="keys", help="Encryption keys: make one, rotate the stored secrets.")
app.command("dealquest.cli.scenarios:app", name="scenarios", help="Scenario packs: check a file.")
app.command("dealquest.cli.transcribe:transcribe", name="transcribe", help="Turn sound files into text, subtitles or JSON.")
app.command("dealquest.cli.traces:app", name="traces", help="Pipeline runs: list, show, follow, count, export, send again.")
