"""Test-time counterattacks for CLIP: from a picture to what the page shows, and to a benchmark's tables.

    upload ─ pictures ─▶ pixels [B,3,S,S] in [0,1] ─ attacks ─▶ steps ─ defenses ─▶ signal
           ─ counterattack ─▶ steps ─ clip ─▶ predictions ─ story ─▶ a run ─ reel ─▶ frames ─▶ ui

pictures        bytes -> a safe RGB photo -> pixels, and back to a picture that is exactly what the model
                sees: the perturbation lives on the model's own grid, and the means of the blocks of the
                448 px on the screen are the model's input;  resizes: how any shape comes to that grid
limits          what a visitor may ask of a host;  surroundings: a home, and letters that can be printed
labels          what a person typed -> labels;  examples: the photographs that come with the demo
ascent          the one loop: signed gradient ascent in the eps-ball and the pixel range
attacks         the table ATTACKS, a row an objective, a start and a step rule;  apgd: Auto-PGD's
counterattack   tau, the counterattack, its tau-thresholded weighting: the paper, number for number
moments         what a defence yields as it does it, and what it returns
defenses        one file an idea: views, signals, published rows, our own, profiles, the table DEFENSES; and
                drift, how far the embedding moves under noise and views, a model's study
adaptive        attackers who know the defence;  stand_in: models that only count what they would spend
clip            pixels -> raw features -> logits;  device: where they are computed, and how precisely
models          the table MODELS: how each loads, its profile, its study;  weights: files, read as tensors
                alone;  open_clips: how open_clip's are built;  shelf: those that are loaded;  stages:
                how far one is on its way
photo, texts    the model in the box: its locked image tower and its text tower;  fit: whether any label fits
intervals       how far a share can be trusted that was counted
story           one picture: settings, play, run (a snapshot a step), beside (two rows on it), words
                (pair_words: of such two),
                depths (the same for everyone and in symbols), axes, scenes (the presets, and links), race
                (the arena: who stands, in which order), flips (the smallest eps), seeds (the same with other
                seeds), price (what each of these takes, before it begins; time_words say it), suspicion
                (is a picture attacked?), trust (which gates can be trusted on a model),
                suggest (what it could be), strips (embeddings to look at), summary (settings in short), reel
                (the frames that the page plays), finished (the runs in assets/runs), figures from the numbers
                that the page draws, takeaway (a run as files), lesson (a sheet for a class), glossary (notes)
plots           what figures are drawn with, and those of a study and of accuracies
benchmark       many pictures: trials; folders, official (the classes), parts, trees, shards, parquets,
                layouts (as they lie on disks); datasets, prompts, piles; records (SQLite), run, answers (the
                same, picture by picture), checks (signs of masked gradients), summary (all numbers of a
                report), report (as text), page and gallery (as HTML, with the pictures behind each figure),
                charts, files; departures (from the paper), certify (what smoothing proves), pace (how long
                it takes), the command line (its options in a file of their own); recipes: the paper's own
                table
calibrate       photographs, clean and attacked, on a model of one's own: its study
ui              the page: layout lays it out, lab wires it, pressing is between a press and its changes;
                visits (what comes with a click), handlers (what buttons do), choices (what choosing does),
                arena and suspicion answer it; stage.js plays a reel, in the page or in a file of
                its own (files), with frames.js, pictures.js and plots.js; guide.js leads through
                it, threshold.js moves its gate, and shelf.js keeps the last ones; api serves
                programs, bench is the hidden tab. place: whose turn it is to compute, and stops:
                how that ends; tempo: how long passes take here, and costs: what that says beside
                the buttons; lent: work on a GPU that is lent; host: the model that a host chose for
                all; desks: what is kept of each visitor between two clicks; inputs: what comes in,
                as it was sent; fetching: pictures by their addresses; uploads: files, headers;
                reels: finished runs at their addresses; preview: what a link shows elsewhere; soon:
                what stands there before the page does
embedded        how the models in the box are made, calibrated, measured and studied, each step a
                recipe; nothing at run time imports it
"""

from demo_core.surroundings import provide

provide()  # before anything else is imported
