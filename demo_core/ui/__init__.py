from demo_core.surroundings import check_ports

check_ports()  # before gradio is imported
